"""Which row belongs to training, testing and validation."""
