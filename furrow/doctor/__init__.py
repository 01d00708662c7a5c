"""``furrow doctor``: what is configured, what can be reached, and what to do about it."""
