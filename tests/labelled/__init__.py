"""Labelled sessions: a seeded generator of calm look-alikes and frustrated sessions, in the wire format of
events.md.
"""
