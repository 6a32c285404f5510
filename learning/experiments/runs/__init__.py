"""The folder of a run: what was asked, the lock, the append-only results. It never computes a result."""
