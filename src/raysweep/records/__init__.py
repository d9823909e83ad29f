"""What flows between stages: frozen records, no behaviour beyond derived values."""
