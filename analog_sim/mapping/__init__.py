"""Weights to conductances and back, and the cut of a matrix into arrays. Knows no converter and changes no cell."""
