"""Ways to write a network in a file, one a file: all of them are a list of layers."""
