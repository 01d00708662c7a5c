"""Sentry: envelopes with replays, errors and spans (docs/streams/sentry.md)."""
