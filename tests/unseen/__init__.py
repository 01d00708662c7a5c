"""A third labelled corpus, for measuring only: never read it to tune the engine (README.md)."""
