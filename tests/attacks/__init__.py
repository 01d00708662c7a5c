"""Attacks of strangers on a real collector, over real sockets; each file is one kind."""
