"""Counts with their nouns, as text for people."""


def format_count(count: int, singular: str, plural: str = "") -> str:
    """``1 event``, ``2 events``, ``1,000 events``. ``plural``: the plural form where it is not the singular with an s."""
    return f"{count:,} {singular if count == 1 else plural or f'{singular}s'}"
