"""Accuracy of a trained network on emulated chips over time: what to run, one chip, the whole Monte Carlo."""
