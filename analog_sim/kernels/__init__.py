"""All compiled kernels: plain module-level functions on arrays. They never hold state and never know a device by name."""
