"""Chaos: the real parts under faults, compared with the undisturbed run (``make chaos``; README.md says what it sees)."""
