"""A served chip as a `Fabric`: our own client on a raw socket. It never knows how commands are carried out."""
