"""The report of on-chip training, from its rows. It never trains."""
