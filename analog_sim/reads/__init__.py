"""Reads: what a read sees of the cells, the product, noise at the output, converters.

It never changes a cell. Others use `read_cache.ReadCache`, `converters.Dac` and `converters.Adc`.
"""
