"""Held-out labelled browser sessions, grown from recordings of real SDKs."""
