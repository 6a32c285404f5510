"""Chips that an experiment can name in its section `chip:`, one file each."""
