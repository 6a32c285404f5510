"""From lab files to a device card: readers, one canonical table, fits, proof of fit. Never draws a figure."""
