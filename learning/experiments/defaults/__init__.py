"""What a run takes for granted: defaults that are settled by the card, and the sentences that say so. It never runs anything."""
