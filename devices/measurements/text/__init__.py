"""Delimited text, read in blocks: lines, delimiters, headers, units, numbers. Never a quantity: readers say what a column is."""
