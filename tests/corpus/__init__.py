"""A labelled corpus of played sessions, written from what people and applications do, not from the engine's rules."""
