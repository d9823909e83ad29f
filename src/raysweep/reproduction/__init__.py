"""A published sweep carried out again from its bundle, and what is the same: `raysweep reproduce`."""
