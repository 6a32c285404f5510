"""What a person at a Python prompt or in a notebook works with: the same runs as the commands, on objects. It never computes a result."""
