"""Grafana Faro: what its web SDK posts to a collector (`faro.receiver`); its traces are OTLP."""
