"""One function over many chips or seeds in parallel, its progress, and statistics over chips. It knows no network."""
