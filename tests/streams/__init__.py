"""Recordings of real SDKs (`tests/data/streams`), and what the engine says of them."""
