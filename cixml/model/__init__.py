"""The embedded model: its tokenizer file, and the encoder that turns token ids into vectors. No HTTP here."""
