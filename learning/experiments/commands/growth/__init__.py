"""How time and memory grow with size, batch, chips, threads, layers, perturbations and wires: measured, fitted, drawn.

It never decides what is fast enough, and nothing else imports it but the command `benchmark`.
"""
