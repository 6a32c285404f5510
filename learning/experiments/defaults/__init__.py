"""What a run assumes: defaults that are settled by the card, and the sentences that say so. It never runs anything."""
