"""Reading the table: from which files, with which types."""
