"""Weight matrices on arrays: mapping, array groups with their converters, drift compensation.

It never sees a loss. Others use `tile.Tile`, `tile.TileSpec` and `digital.DigitalTile`.
"""
