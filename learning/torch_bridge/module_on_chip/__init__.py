"""A torch module on one emulated chip, with its clock: what a person at a prompt holds in hand. It never trains and knows no file."""
