"""The road's second stage: sealed segments of the spool land in the event store, each exactly once."""
