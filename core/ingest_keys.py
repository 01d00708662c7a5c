"""The number that stands for an ingest key where its sessions are counted (docs/decisions/0086-suspicious-drafts.md)."""


def number_ingest_key(key_hash: str) -> int:
    """The first 63 bits of the key's SHA-256 (``key_hash``, hex): a number above 0 that fits a bigint. It is no secret."""
    return int(key_hash[:16], 16) >> 1 or 1
