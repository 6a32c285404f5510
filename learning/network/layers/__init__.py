"""Layers of a network, one file per kind."""
