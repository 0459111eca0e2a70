"""numpy where it is installed, else None: everything here also runs without it, only slower.

MUTIRAO_SPEC_PLAIN=1 does without it on purpose.
"""

import os

# One thread: the threads of a library gain little on matrices this small, and wait for one another.
for library in ("OPENBLAS", "MKL", "OMP"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
try:
    if os.environ.get("MUTIRAO_SPEC_PLAIN"):
        raise ImportError
    import numpy
except ImportError:
    numpy = None
