"""Grouping: which failures of different sessions are one incident. It names them anew for the fingerprint alone.

Detection judges a visit with the names of its failure point; the fingerprint of a detection is made of names that are folded
further. So a rule of grouping changes no judgement. docs/contracts/detection.md, Grouping, states the rules.
"""
