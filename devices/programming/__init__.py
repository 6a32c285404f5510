"""Programming error laws: what write-verify leaves. One law per file; a new file is a new `kind`."""
