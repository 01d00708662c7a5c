"""One installation on this machine: start, supervision, registration with Prefect, backup, demo."""
