"""Step distributions, which hold no single steps, as tables of a card. It never fits a law."""
