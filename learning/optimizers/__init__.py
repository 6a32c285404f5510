"""Digital optimisers of the periphery, one file per kind."""
