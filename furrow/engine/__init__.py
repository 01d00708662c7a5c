"""The process that analyses: the lander's loop and the worker that executes Prefect's runs; server mode's workers too."""
