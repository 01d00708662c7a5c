"""Bring the schemas of both stores up to date, before anything else works with them.

Run by ``furrow up`` (``python -m furrow.installation.prepare``) before the engine starts and without Prefect; harmless to
repeat. A store that a newer Furrow has upgraded, or that refuses the address in our settings, ends it with ``REFUSED`` and
one line that says so; one that is away does not: events wait in the spool.
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
    """Open and migrate both stores, as the blocks said last."""
    try:
        settings = documents.known_settings()
    except TransientError:
        # An installation of an older version, whose blocks may name other stores: the engine migrates when it knows them.
        print(
            f"{MESSAGE_PREFIX}the stores are opened when Prefect has said which ones its blocks name", file=sys.stderr
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
            # An address out of a block is mended in the Prefect UI, which must run for that.
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
    return f"the {name}: {error}" + ("" if variable in str(error) else f"; mend {variable}")


def _warn_of_unusable_store(name: str, error: FurrowError) -> None:
    # Not fatal: events wait in the spool, the flows say so, and whoever finds it back migrates it.
    count_degraded("deploy", name.replace(" ", "_"))
    print(f"{MESSAGE_PREFIX}the {name} cannot be used yet, its work waits: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
