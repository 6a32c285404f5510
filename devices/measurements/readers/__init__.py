"""One file per lab format; each turns its files into rows of the canonical table."""
