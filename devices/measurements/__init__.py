"""Fit a device card to lab measurements and validate it on held-out data.

Readers, one canonical table, fits, validation, pipeline. Never draws a figure.
"""
