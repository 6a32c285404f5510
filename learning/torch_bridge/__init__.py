"""Torch on one side, tiles on the other: the only folder that imports torch. It never knows what is behind a tile."""
