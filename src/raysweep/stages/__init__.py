"""A package a stage: plain files decide, `ray_*.py` files carry out."""
