"""Masks metadata, as before."""

from collector.privacy.cache import CACHED_LENGTH
from collector.privacy.values import _KEYS, _PLAIN, _judge_key, _mask_value


def mask_metadata(metadata: dict[str, object]) -> dict[str, object]:
    kept = {}
    for key, value in metadata.items():
        known = _KEYS[key] if len(key) <= CACHED_LENGTH else _judge_key(key)
        kept[known.shown] = value if type(value) in _PLAIN else _mask_value(known.mask, value)
    return kept
