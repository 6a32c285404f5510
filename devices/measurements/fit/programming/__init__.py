"""Fits of the programming error. It never reads a file."""
