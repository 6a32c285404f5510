"""From a measurement configuration to a card with its proof: read, split, fit, emulate, compare. It never draws or prints."""
