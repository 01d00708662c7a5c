"""Inputs that stand for public bug reports, with neighbours: one module a kind."""
