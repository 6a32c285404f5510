"""Fits of read noise: spectra of long series. It never reads a file."""
