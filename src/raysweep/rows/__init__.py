"""Values of a table in one canonical form, and hashes of rows that do not depend on where they came from."""
