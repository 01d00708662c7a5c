"""Benchmarks of Furrow, with a plain scan of the same columns on the same machine for comparison: ``python -m bench``."""
