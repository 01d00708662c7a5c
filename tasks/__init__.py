"""The steps of the flows: input and output, retries, and the log-only fallback; one concern a file."""

import logging

# Prefect shows warnings alone of other libraries' loggers. What the log-only fallback writes is information, and must be seen.
logging.getLogger("furrow").setLevel(logging.INFO)
