"""The report of an estimate and of a sweep of estimates, from their rows. It never runs a chip."""
