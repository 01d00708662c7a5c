"""Simulated people at simulated applications with simulated failures; see README.md. Knows the event contract alone."""
