"""What runs: configurations, run folders, Monte Carlo, estimation, training, sweeps, reports. Nothing else in learning imports it."""
