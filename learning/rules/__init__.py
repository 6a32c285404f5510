"""Learning rules, one file each, chosen by `kind`."""
