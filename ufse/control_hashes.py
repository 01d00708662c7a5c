"""The identity of a control across sessions."""

from hashlib import blake2b

import numpy as np

from ufse.arrays import Ints
from ufse.frame import Frame
from ufse.memo import memoize_texts


@memoize_texts
def hash_control(pattern: str, name: str) -> str:
    """The identity of a control across sessions: 16 hex characters, never all zero."""
    return blake2b(f"{pattern}\x1f{name}".encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def hash_action_controls(frame: Frame, action: Ints) -> Ints:
    """Per packed action (not negative): the hash of its control, as int64."""
    count = max(len(frame.targets), 1)
    distinct, inverse = np.unique(action, return_inverse=True)
    texts = [hash_control(frame.patterns[a // count], frame.targets[a % count].name) for a in distinct.tolist()]
    hashes = np.array([int(t, 16) for t in texts], dtype=np.uint64).view(np.int64)
    return np.asarray(hashes[inverse], dtype=np.int64) if len(action) else action
