"""The signals of detection.md: rage and confusion over whole columns, blocked and abandonment per
candidate.
"""
