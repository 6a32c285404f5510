"""Read noise laws: how much one read differs from the next. One law per file; a new file is a new `kind`."""
