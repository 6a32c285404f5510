"""Compiled kernels of the wires: factors of lines, conjugate gradients, Born series. They never hold state and never check input."""
