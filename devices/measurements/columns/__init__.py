"""The shared half of readers of columns: which column is which quantity, chosen lines, heads. It never fits."""
