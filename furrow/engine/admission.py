"""Decides which runs are executed: only runs of the deployments that ``prefect.yaml`` declares, as it declares them.

Used by the engine of ``furrow up`` and, in server mode, by the process of each run. Anybody who can write to Prefect's API
can create deployments, and Prefect would run what they name: pull steps (shell commands), files, any function that can be
imported. Here, nothing from the API is imported, fetched or executed: the name of a run's deployment is looked up in our own
list, and the flow is imported from our own package.
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
    """A run that is not executed. The message is the reason."""


@dataclass(frozen=True)
class DeclaredDeployment:
    """A deployment that may run: its name, its entrypoint, and the flow of that entrypoint."""

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

    ``shards``: the maximum number of shards of the detection; each is a deployment.
    """
    project = split_into_shards(yaml.safe_load(_DECLARATIONS.read_text(encoding="utf-8")), shards)
    found = [
        DeclaredDeployment(str(entry["name"]), str(entry["entrypoint"]), _import_own_flow(str(entry["entrypoint"])))
        for entry in project["deployments"]
    ]
    return {deployment.key: deployment for deployment in found}


def admit_flow_run(client: SyncPrefectClient, run: FlowRun, known: Mapping[str, DeclaredDeployment]) -> AnyFlow:
    """The flow to execute for ``run``. Raises RunRefused, and the errors of Prefect's client."""
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
        raise RunRefused("its flow is not the flow of its deployment")
    for what in _find_additions(deployment, ours, run):
        raise RunRefused(f"{what}; `furrow up` (or `python -m furrow.server deploy`) restores the declared deployments")
    _check_flow_parameters(ours.flow, run.parameters)
    return ours.flow


def end_refused_run(client: SyncPrefectClient, run: FlowRun, refusal: RunRefused) -> None:
    """End a run in the state ``Refused``, with the reason as its message. Raises the errors of Prefect's client."""
    RUNS_REFUSED.inc()
    # Every run of a changed deployment is refused: `furrow doctor` shows the reason.
    last_errors.record_last_error(Settings().data_dir, "refused runs", refusal)
    _log.warning("the run %s is refused: %s", run.id, refusal)
    state: State[None] = Crashed(name="Refused", message=f"Refused: {refusal}.")
    client.set_flow_run_state(run.id, state, force=True)


def undo_deployment_changes(client: SyncPrefectClient, known: Mapping[str, DeclaredDeployment]) -> list[str]:
    """Undo changes of our deployments in Prefect; the names of the deployments that had been changed.

    `prefect deploy` does not reset fields that ``prefect.yaml`` does not set. Raises the errors of Prefect's client.
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
    """Values of the deployment or the run that its declaration does not have. Each is a reason to refuse the run."""
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
        raise PermanentError(f"the entrypoint {entrypoint} in prefect.yaml is not in the package `flows`")
    found = getattr(importlib.import_module(module), name)
    if not isinstance(found, Flow):
        raise PermanentError(f"the entrypoint {entrypoint} in prefect.yaml is not a flow")
    return found


def _to_printable_text(value: object) -> str:
    """Text from the API as one printable line of at most `_LONGEST` characters."""
    return "".join(c if c.isprintable() else " " for c in str(value))[:_LONGEST]
