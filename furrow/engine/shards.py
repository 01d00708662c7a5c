"""Shards of the detection in server mode: each is a deployment that analyses its share of the sessions."""

from typing import Final, NotRequired

from typing_extensions import TypedDict

from core.errors import WrongUse

DETECT: Final = "detect"
"""The deployment of shard 0, and the flow of all shards."""
MOST_SHARDS: Final = 64
"""Maximum number of shards; each is a deployment that runs every 30 s."""


class DeploymentEntry(TypedDict):
    """A deployment in prefect.yaml, as far as it is read here. Further keys are kept as they are."""

    name: str
    entrypoint: str
    parameters: NotRequired[dict[str, object]]


class PrefectProject(TypedDict):
    """The content of prefect.yaml, as far as it is read here. Further keys are kept as they are."""

    deployments: list[DeploymentEntry]


def shard_deployment_name(shard: int) -> str:
    """The deployment of a shard: ``detect``, ``detect-1``, ``detect-2`` …"""
    return f"{DETECT}-{shard}" if shard else DETECT


def split_into_shards(project: PrefectProject, shards: int) -> PrefectProject:
    """The content of prefect.yaml with ``shards`` deployments for the detection. Raises WrongUse for a bad number."""
    if not 1 <= shards <= MOST_SHARDS:
        raise WrongUse(f"the number of shards must be from 1 to {MOST_SHARDS}")
    deployments: list[DeploymentEntry] = []
    for deployment in project["deployments"]:
        if deployment["name"] != DETECT:
            deployments.append(deployment)
            continue
        for shard in range(shards):
            parameters = {**deployment.get("parameters", {}), "shard": shard, "shards": shards}
            deployments.append({**deployment, "name": shard_deployment_name(shard), "parameters": parameters})
    return {**project, "deployments": deployments}
