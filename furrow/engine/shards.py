"""The parts of the detection in server mode: deployments of their own, of which each analyses its part of the sessions."""

from typing import Any, Final

from core.errors import PermanentError

DETECT: Final = "detect"
"""The deployment of part 0, and the flow of all parts."""
MOST_SHARDS: Final = 64
"""More parts than anybody has workers; each is a deployment that runs every 30 s."""


def shard_deployment_name(shard: int) -> str:
    """The deployment of one part: ``detect``, ``detect-1``, ``detect-2`` …"""
    return f"{DETECT}-{shard}" if shard else DETECT


def split_into_shards(project: dict[str, Any], shards: int) -> dict[str, Any]:
    """The content of prefect.yaml with the detection as ``shards`` deployments, one a part of the sessions."""
    if not 1 <= shards <= MOST_SHARDS:
        raise PermanentError(f"the number of shards must be from 1 to {MOST_SHARDS}")
    deployments: list[dict[str, Any]] = []
    for deployment in project["deployments"]:
        if deployment["name"] != DETECT:
            deployments.append(deployment)
            continue
        for shard in range(shards):
            parameters = {**deployment.get("parameters", {}), "shard": shard, "shards": shards}
            deployments.append({**deployment, "name": shard_deployment_name(shard), "parameters": parameters})
    return {**project, "deployments": deployments}
