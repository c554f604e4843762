"""Fuzz targets, and the inputs that are kept of them; see `__main__` for how to run them."""
