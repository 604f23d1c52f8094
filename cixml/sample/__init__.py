"""The bundled sample: some forty pages of the PostgreSQL documentation and a small site for them."""
