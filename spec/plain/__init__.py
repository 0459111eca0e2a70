"""Mutirão's specification in plain Python, for checking: see spec/README.md."""
