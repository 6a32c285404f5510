"""Kernels of reads: the product, net conductance, energy, conversions with noise. They never change a cell."""
