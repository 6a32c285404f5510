"""What the pulses before do to a step: memory of the direction of the last ones. It never fits a law of the state.

Others use `fit.fit_history`.
"""
