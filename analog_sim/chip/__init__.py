"""One array on a chip: the protocol that emulator and hardware share, the emulated array, the clock, the operation log, costs.

It never knows a weight, a converter's range or a network. Others are typed against `crossbar`.
"""
