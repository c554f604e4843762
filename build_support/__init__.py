"""What setup.py needs to build the extension modules; no part of fastsocks."""
