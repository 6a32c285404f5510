"""Ageing laws: what time does to a written state. One law per file; a new file is a new `kind`."""
