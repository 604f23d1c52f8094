"""Names, metrics and logs that every part shares. Nothing here starts an SDK or reads the environment at import."""
