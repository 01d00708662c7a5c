"""PostHog: autocapture, exceptions and the requests of recordings (docs/streams/posthog.md)."""
