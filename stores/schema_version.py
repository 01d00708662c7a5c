"""The error of both stores for a schema of a newer version of Furrow."""

from collections.abc import Iterable

from core.errors import PermanentError


class SchemaTooNew(PermanentError):
    """A newer Furrow has upgraded this store; an older one does not write to it."""


def refuse_newer_schema(store: str, found: Iterable[str], known: Iterable[str]) -> None:
    """Raise SchemaTooNew if ``found`` names a version that is not in ``known``; ``store`` as in "event store"."""
    versions = sorted(known)
    if unknown := sorted(set(found) - set(versions)):
        raise SchemaTooNew(
            f"the {store}'s schema ({unknown[-1]}) is newer than this version of Furrow, which knows it up to "
            f"{versions[-1]}: run the newer version, or restore a backup from before the upgrade"
        )
