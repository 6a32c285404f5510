"""Decorrelation of layer inputs, one file per method, chosen by `kind`."""
