"""Figures, tables and self-contained HTML pages from the files of a run. It never runs a chip."""
