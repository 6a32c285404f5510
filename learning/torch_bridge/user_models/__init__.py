"""The user's own torch models: their files imported and told apart by content, their checkpoints read as data. It never trains."""
