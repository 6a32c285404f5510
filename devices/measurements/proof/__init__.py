"""Held-out data against emulated cells of the fitted card: replays, distances, verdicts. It never fits."""
