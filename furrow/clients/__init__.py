"""Clients of the HTTP interfaces: the collector's and Prefect's; and the files that can be sent."""
