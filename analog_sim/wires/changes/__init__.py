"""What becomes of the currents when cells change: corrected matrices, first-order responses, the variance of read noise.

It knows no chip and draws no noise. `reads` uses it through `analog_sim.wires`.
"""
