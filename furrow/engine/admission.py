"""Which runs are executed: those of the deployments that ``prefect.yaml`` declares, exactly as it declares them.

The engine of ``furrow up`` asks here, and in server mode the process of each run. Whoever may write to Prefect's API may
make deployments, and Prefect runs what they name: pull steps (shell commands), files, any function that can be imported.
Here nothing that the API says is imported, fetched or executed. A run names a deployment, the deployment's name is looked
up in our own list, and the flow comes out of our own package.
"""

import functools
import importlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml  # type: ignore[import-untyped]
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound, ParameterTypeError
from prefect.flows import Flow
from prefect.states import Crashed
from pydantic import ValidationError

from core import last_errors
from core.errors import PermanentError
from core.metrics import RUNS_REFUSED
from core.package import ROOT
from core.settings import Settings
from furrow.engine.shards import split_into_shards

_DECLARATIONS: Final = ROOT / "prefect.yaml"
_PACKAGE: Final = "flows."
_LONGEST: Final = 500

AnyFlow = Flow[..., Any]
_log = logging.getLogger("furrow.engine.admission")


class RunRefused(PermanentError):
    """A run that is not executed; the message says why."""


@dataclass(frozen=True)
class DeclaredDeployment:
    """One deployment that may run: its name, the module path that it must name, and the flow that is run."""

    name: str
    entrypoint: str
    flow: AnyFlow

    @property
    def key(self) -> str:
        """``flow/deployment``, as Prefect names it."""
        return f"{self.flow.name}/{self.name}"


@functools.cache
def declared_deployments(shards: int = 1) -> Mapping[str, DeclaredDeployment]:
    """The deployments of ``prefect.yaml`` by ``flow/deployment``; their flows are imported from this package.

    ``shards``: how many parts of the detection there are at the most; each is a deployment.
    """
    project = split_into_shards(yaml.safe_load(_DECLARATIONS.read_text(encoding="utf-8")), shards)
    found = [
        DeclaredDeployment(str(entry["name"]), str(entry["entrypoint"]), _import_own_flow(str(entry["entrypoint"])))
        for entry in project["deployments"]
    ]
    return {deployment.key: deployment for deployment in found}


def admit_flow_run(client: SyncPrefectClient, run: FlowRun, known: Mapping[str, DeclaredDeployment]) -> AnyFlow:
    """The flow to execute for ``run``. Raises Refused, and what Prefect's client raises."""
    if run.deployment_id is None:
        raise RunRefused("it belongs to no deployment")
    try:
        deployment = client.read_deployment(run.deployment_id)
        key = f"{client.read_flow(deployment.flow_id).name}/{deployment.name}"
    except ObjectNotFound:
        raise RunRefused("its deployment does not exist") from None
    if (ours := known.get(key)) is None:
        raise RunRefused(f"Furrow has no deployment {_to_printable_text(key)}")
    if run.flow_id != deployment.flow_id:
        raise RunRefused("it is of another flow than its deployment")
    for what in _find_additions(deployment, ours, run):
        raise RunRefused(
            f"{what}; `furrow up` (or `python -m furrow.server deploy`) registers the deployments as they should be"
        )
    _check_flow_parameters(ours.flow, run.parameters)
    return ours.flow


def end_refused_run(client: SyncPrefectClient, run: FlowRun, refusal: RunRefused) -> None:
    """End a run in the state ``Refused``, which says why. Raises what Prefect's client raises."""
    RUNS_REFUSED.inc()
    # A changed deployment is refused at every run: whoever asks the doctor why nothing is found reads it there.
    last_errors.record_last_error(Settings().data_dir, "refused runs", refusal)
    _log.warning("the run %s is refused: %s", run.id, refusal)
    state: State[None] = Crashed(name="Refused", message=f"It is refused: {refusal}.")
    client.set_flow_run_state(run.id, state, force=True)


def undo_deployment_changes(client: SyncPrefectClient, known: Mapping[str, DeclaredDeployment]) -> list[str]:
    """Make our deployments name what they declare again; the names of those that somebody had changed.

    `prefect deploy` leaves a field alone that ``prefect.yaml`` does not set. Raises what Prefect's client raises.
    """
    undone: list[str] = []
    for ours in known.values():
        try:
            deployment = client.read_deployment_by_name(ours.key)
        except ObjectNotFound:
            continue
        if _find_additions(deployment, ours):
            plain = DeploymentUpdate(
                entrypoint=ours.entrypoint,
                pull_steps=[],
                path=None,
                storage_document_id=None,
                infrastructure_document_id=None,
                job_variables={},
            )
            client.update_deployment(deployment.id, plain)
            undone.append(ours.name)
    return undone


def _find_additions(deployment: DeploymentResponse, ours: DeclaredDeployment, run: FlowRun | None = None) -> list[str]:
    """What the deployment or the run says beyond its declaration. None of it would be used; somebody meant it to be."""
    variables = [deployment.job_variables, run.job_variables if run else None]
    infrastructure = [deployment.infrastructure_document_id, run.infrastructure_document_id if run else None]
    checks = {
        f"its entrypoint is {_to_printable_text(deployment.entrypoint)}, not {ours.entrypoint}": (
            deployment.entrypoint != ours.entrypoint
        ),
        "it has pull steps": bool(deployment.pull_steps),
        "it has a path": deployment.path not in (None, "", "."),
        "it has a storage block": deployment.storage_document_id is not None,
        "it has an infrastructure block": any(infrastructure),
        "it has job variables": any(value for mapping in variables for value in (mapping or {}).values()),
    }
    return [what for what, is_so in checks.items() if is_so]


def _check_flow_parameters(flow: AnyFlow, parameters: Mapping[str, Any]) -> None:
    if unknown := sorted(set(parameters) - set(flow.parameters.properties)):
        raise RunRefused(f"{flow.name} has no parameter {_to_printable_text(', '.join(unknown))}")
    try:
        flow.validate_parameters(dict(parameters))
    except (ParameterTypeError, ValidationError, TypeError, ValueError) as error:
        raise RunRefused(f"its parameters do not fit: {_to_printable_text(error)}") from None


def _import_own_flow(entrypoint: str) -> AnyFlow:
    module, _, name = entrypoint.rpartition(".")
    if not entrypoint.startswith(_PACKAGE):
        raise PermanentError(f"prefect.yaml names {entrypoint}, which is no flow of Furrow")
    found = getattr(importlib.import_module(module), name)
    if not isinstance(found, Flow):
        raise PermanentError(f"prefect.yaml names {entrypoint}, which is no flow")
    return found


def _to_printable_text(value: object) -> str:
    """Text from the API in one printable line of bounded length."""
    return "".join(c if c.isprintable() else " " for c in str(value))[:_LONGEST]
