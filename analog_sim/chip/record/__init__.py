"""Operations on a chip as a file: written while a chip works, read back as a chip that repeats itself.

It never decides what is done to a chip. Others use `taped.recording` and `taped.replay`.
"""
