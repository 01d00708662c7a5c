"""OTLP/HTTP: spans and log records of OpenTelemetry's browser instrumentations, as JSON or protobuf."""
