"""A chip as an instrument: SCPI on a raw TCP socket. It serves whatever `Fabric` it is given and never builds cells itself."""
