"""Pulses on cells: response tables, composed tables, and their application to the cells of an array.

It never decides which pulses to send (that is `analog_sim.writing`) and never knows a weight. Others use `apply.apply_pulses` and
`response_tables.compile_pulses`.
"""
