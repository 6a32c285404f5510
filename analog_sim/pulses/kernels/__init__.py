"""Kernels of pulses: bit streams, plans, laws, noise, rows of cells. They never know a device or a weight."""
