"""Make a Prefect server ready for Furrow: its work pool, its blocks, and the deployments of ``prefect.yaml``.

The schemas of both stores are brought up to date here too, before anything else works with them. A store that a newer
Furrow has upgraded, or that refuses the address in our settings, ends it with ``REFUSED`` and one line that says so; one
that is away does not: events wait in the spool.

Run by ``furrow up`` (``python -m furrow.deploy``) against the server of ``PREFECT_API_URL``; harmless to repeat.
"""

import contextlib
import subprocess
import sys

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists, PrefectHTTPStatusError

from blocks import documents
from furrow import ROOT, admission, automations
from furrow.errors import FurrowError, NotConfigured, PermanentError
from furrow.metrics import degraded
from furrow.settings import EMBEDDED, Settings
from furrow.up import REFUSED, TOLD
from furrow.worker import POOL, InProcessWorker
from stores.schema_version import SchemaTooNew
from tasks import connections


def main() -> None:
    """Register everything; raises if Prefect refuses something."""
    template = InProcessWorker.get_default_base_job_template()
    with get_client(sync_client=True) as client, contextlib.suppress(ObjectAlreadyExists):
        client.create_work_pool(WorkPoolCreate(name=POOL, type=InProcessWorker.type, base_job_template=template))
    documents.register()
    _prepare_stores()
    _undo_changes()
    subprocess.run([sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"], cwd=ROOT, check=True)
    _declare_automations()


def _undo_changes() -> None:
    with get_client(sync_client=True) as client:
        undone = admission.undo_changes(client)
    if undone:
        message = f"somebody had changed what these deployments run, they are as declared again: {', '.join(undone)}"
        print(f"{TOLD}{message}", file=sys.stderr)


def _declare_automations() -> None:
    try:
        with get_client(sync_client=True) as client:
            automations.ensure(client, Settings().warn_block)
    except (httpx.HTTPError, PrefectHTTPStatusError) as error:
        # Without warnings everything else works.
        degraded("deploy", "automations")
        print(f"{TOLD}the automations that warn could not be made: {error}", file=sys.stderr)


def _prepare_stores() -> None:
    for name, setting, open_store in (
        ("event store", "event_store_url", connections.event_store),
        ("incident store", "incident_store_url", connections.incident_store),
    ):
        try:
            open_store()
        except NotConfigured:
            pass
        except PermanentError as error:
            # An address out of a block is mended in the Prefect UI, which must run for that.
            if isinstance(error, SchemaTooNew) or _is_ours(setting):
                print(f"{TOLD}{_advised(name, setting, error)}", file=sys.stderr)
                sys.exit(REFUSED)
            _warn(name, error)
        except FurrowError as error:
            _warn(name, error)
    connections.close_all()


def _is_ours(setting: str) -> bool:
    try:
        return bool(getattr(documents.effective_settings(), setting) == getattr(Settings(), setting))
    except FurrowError:
        return False


def _advised(name: str, setting: str, error: FurrowError) -> str:
    if isinstance(error, SchemaTooNew) or getattr(Settings(), setting).get_secret_value() == EMBEDDED:
        return str(error)
    variable = f"FURROW_{setting.upper()}"
    return f"the {name}: {error}" + ("" if variable in str(error) else f"; mend {variable}")


def _warn(name: str, error: FurrowError) -> None:
    # Not fatal: events wait in the spool, the flows say so, and whoever finds it back migrates it.
    degraded("deploy", name.replace(" ", "_"))
    print(f"{TOLD}the {name} cannot be used yet, its work waits: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
