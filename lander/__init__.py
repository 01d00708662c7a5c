"""Moves sealed segments of the spool into the event store, each exactly once."""
