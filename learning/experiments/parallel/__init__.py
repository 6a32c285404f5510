"""Where the tasks of a Monte Carlo run: one file per kind, chosen by `parallel:` in a configuration."""
