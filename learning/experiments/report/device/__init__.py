"""The report of a device card: what emulated cells of it do, drawn over its closed forms."""
