"""Kernels of random numbers and the elementary functions that other rooms' kernels inline. They never hold state."""
