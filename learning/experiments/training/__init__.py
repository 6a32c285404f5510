"""Training runs: data and their order, the chip, checkpoints, measurements, arms and seeds, the search. It holds no learning rule."""
