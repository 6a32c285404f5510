"""The door to analog-hil: start here from Python (`import analog_hil as ah`) and from the shell (`analog-hil`). No logic of its own."""

__analog_hil__ = True
