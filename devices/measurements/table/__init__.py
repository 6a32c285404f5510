"""The canonical table that every lab file becomes, the sink that readers pour into, and what can be wrong. It never knows a format."""
