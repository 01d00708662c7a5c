"""Incidents: their values and their lifecycle, as pure functions without a database."""
