"""Data sets as plain arrays, and their download. It never trains and never opens a pickle."""
