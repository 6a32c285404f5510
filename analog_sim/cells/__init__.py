"""The cells of one array: the compiled device model, fabrication, state, ageing, programming.

It never pulses a cell, never reads a current and never knows a technology by name. Others use `cell_model.CellModel`, what a device
card compiles to, `state.fabricate`, `ageing.Ageing` and `programming.program`.
"""
