"""One distributed pass of statistics over the table."""
