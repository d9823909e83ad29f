"""Is the table fit to learn from? Checks on the profile, findings out."""
