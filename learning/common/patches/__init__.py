"""Patches of images as rows for a crossbar: how a convolution becomes a matrix product, and back. Knows no weight and no tile.

Others import `Windows` from `learning.common.patches.windows`.
"""
