"""Step-response laws: what one programming pulse does to a cell. One law per file; a new file is a new `kind`."""
