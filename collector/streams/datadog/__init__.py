"""Datadog RUM: newline-delimited JSON of @datadog/browser-rum, versions 4 to 7."""
