"""Writing what the sweep leaves behind."""
