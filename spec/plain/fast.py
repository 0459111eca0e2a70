"""numpy where it is installed, else None: everything here also runs without it, only slower.

MUTIRAO_SPEC_PLAIN=1 does without it on purpose.
"""

import os

try:
    if os.environ.get("MUTIRAO_SPEC_PLAIN"):
        raise ImportError
    import numpy
except ImportError:
    numpy = None
