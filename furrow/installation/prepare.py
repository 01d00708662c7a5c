"""Migrates the schemas of both stores, before other processes use them.

``furrow up`` runs it (``python -m furrow.installation.prepare``) before the engine starts, without Prefect. Idempotent. If a
newer version of Furrow has upgraded a store, or a store rejects the address in the settings, it exits with ``REFUSED`` and one
line with the reason. A store that does not answer is not an error: events stay in the spool.
"""

import sys

from blocks import documents
from core.errors import FurrowError, NotConfigured, PermanentError, TransientError
from core.metrics import count_degraded
from core.settings import Settings
from furrow.installation.up import MESSAGE_PREFIX, REFUSED
from stores import opening
from stores.schema_version import SchemaTooNew
from tasks import connections


def main() -> None:
    """Open and migrate both stores, with the last known values of Prefect's blocks."""
    try:
        settings = documents.known_settings()
    except TransientError:
        # An older version has not saved the values of its blocks; the engine will migrate their stores.
        print(
            f"{MESSAGE_PREFIX}the stores are opened when Prefect answers, because its blocks may name other stores",
            file=sys.stderr,
        )
        return
    for name, setting, open_store in (
        ("event store", "event_store_url", connections.event_store),
        ("incident store", "incident_store_url", connections.incident_store),
    ):
        try:
            open_store(settings)
        except NotConfigured:
            pass
        except PermanentError as error:
            # An address in a block is corrected in the Prefect UI, which must run for that.
            if isinstance(error, SchemaTooNew) or getattr(settings, setting) == getattr(Settings(), setting):
                print(f"{MESSAGE_PREFIX}{_add_advice_to_error(name, setting, error)}", file=sys.stderr)
                sys.exit(REFUSED)
            _warn_of_unusable_store(name, error)
        except FurrowError as error:
            _warn_of_unusable_store(name, error)
    connections.close_connections()


def _add_advice_to_error(name: str, setting: str, error: FurrowError) -> str:
    if isinstance(error, SchemaTooNew) or opening.read_store_mode(getattr(Settings(), setting)) == "embedded":
        return str(error)
    variable = f"FURROW_{setting.upper()}"
    return f"the {name}: {error}" + ("" if variable in str(error) else f"; check {variable}")


def _warn_of_unusable_store(name: str, error: FurrowError) -> None:
    # Not fatal: events stay in the spool, and the store is migrated when it is opened again.
    count_degraded("deploy", name.replace(" ", "_"))
    print(f"{MESSAGE_PREFIX}the {name} cannot be used yet, its work stays pending: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
