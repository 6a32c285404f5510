"""Fits of retention: relaxation in log time, power-law drift, bursts. It never reads a file."""
