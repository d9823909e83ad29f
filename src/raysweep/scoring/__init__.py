"""A whole table predicted by a published model, block by block, from where it lies to where it is wanted."""
