"""Files between the answer 202 and the event store: segments, dead letters, quarantine."""
