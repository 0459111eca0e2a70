"""numpy where it is installed, else None: everything here also runs without it, only slower."""

try:
    import numpy
except ImportError:
    numpy = None
