"""A page that shows a served chip while software works on it. It never reads a cell, takes chip time or holds the chip up."""
