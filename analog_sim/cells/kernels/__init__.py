"""Kernels of drift, relaxation, programming, and of interpolation in a cell's tables. Flat arrays only."""
