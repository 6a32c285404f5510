"""The YAML of an estimate and of on-chip training. It never runs anything."""
