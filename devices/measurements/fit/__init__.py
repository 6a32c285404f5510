"""From rows to models: laws by maximum likelihood, quantile tables, noise spectra, relaxation. Never reads a file, never draws a figure."""
