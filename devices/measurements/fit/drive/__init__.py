"""What the amplitude and the width of a pulse do to its step. It never fits a law of the state.

Others use `fit.fit_drive`.
"""
