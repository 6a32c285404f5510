"""Fits of the pulse response: laws by maximum likelihood, quantile tables, device spread. It never reads a file."""
