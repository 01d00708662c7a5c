"""Clients of the HTTP APIs of the collector and of Prefect, and readers of the files that can be sent."""
