"""Kernels of the mapping between weights and conductances."""
