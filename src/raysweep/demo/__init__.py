"""The table and the sweep of `raysweep demo`."""
