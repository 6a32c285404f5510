"""A fitted device as files: the card in YAML and its tables beside it. It never fits anything."""
