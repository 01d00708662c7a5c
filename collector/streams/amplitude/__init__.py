"""Amplitude: autocapture with forms, pages and failed requests (docs/streams/amplitude.md)."""
