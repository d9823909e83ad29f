"""The final check of the winner on rows that nothing has seen."""
