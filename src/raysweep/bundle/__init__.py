"""Reading what was published: verify, load, show. No Ray in here."""
