"""The automations in Prefect that send warnings. Missing ones are created; existing ones are kept.

By default a warning is an event in the Prefect UI and a finding of ``furrow doctor``. With ``FURROW_WARN_BLOCK`` it is also
sent to a notification block of Prefect. Changes that users make in the UI (disabled, other actions, another trigger) are
kept.
"""

import logging
from datetime import timedelta
from typing import Final

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.events.actions import ActionTypes, DoNothing, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from tasks import flood, open_alerts
from tasks.lag import EXCEEDED, RESOURCE

LAG: Final = "Furrow: the lag exceeds ten minutes"
EXPORTS: Final = "Furrow: exports fail"
FLOOD: Final = "Furrow: a flood of new incidents is held back"
OPEN: Final = "Furrow: an incident begins"
TAG: Final = "furrow"
QUIET: Final = timedelta(minutes=30)
"""Minimum time between two warnings about the same problem."""

_MESSAGE_BODY = "{{ event.payload.message }}"
_EXPORTS_BODY = "{{ flow.name }}: {{ flow_run.state.message }}\n{{ flow_run|ui_url }}"
_log = logging.getLogger("furrow.engine.automations")


def ensure_automations(client: SyncPrefectClient, block: str = "") -> None:
    """Create missing automations, and set the notification block of those whose actions users have not changed.

    ``block``: ``type/name`` of a notification block, for example ``slack-webhook/operations``. If it does not exist, a warning
    is logged, and warnings appear only in the UI. Raises the errors of Prefect's client.
    """
    document = _find_block_document_id(client, block) if block else None
    for wanted in (
        _lag_automation(document),
        _exports_automation(document),
        _flood_automation(document),
        _open_automation(document),
    ):
        found = client.read_automations_by_name(wanted.name)
        if not found:
            client.create_automation(wanted)
        for existing in found:
            if _are_own_actions(existing.actions, wanted.name) and _dump_actions(existing.actions) != _dump_actions(
                wanted.actions
            ):
                # The server rejects an update that contains the owner.
                changed = existing.model_dump(mode="json", exclude={"id", "owner_resource"})
                changed["actions"] = [action.model_dump(mode="json") for action in wanted.actions]
                client.update_automation(existing.id, AutomationCore.model_validate(changed))


def _lag_automation(document: str | None) -> AutomationCore:
    return AutomationCore(
        name=LAG,
        description="Events wait for more than ten minutes to be stored, or complete sessions to be analysed.",
        tags=[TAG],
        trigger=EventTrigger(
            posture=Posture.Reactive,
            expect={EXCEEDED},
            match={"prefect.resource.id": f"{RESOURCE}.*"},
            threshold=1,
            within=QUIET,
        ),
        actions=_make_actions(document, LAG),
    )


def _exports_automation(document: str | None) -> AutomationCore:
    return AutomationCore(
        name=EXPORTS,
        description="A configured tracker does not accept tickets, or incidents cannot be read.",
        tags=[TAG],
        trigger=EventTrigger(
            posture=Posture.Reactive,
            expect={"prefect.flow-run.Degraded", "prefect.flow-run.Failed"},
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related={
                "prefect.resource.role": "flow",
                "prefect.resource.name": ["export", "rerun-failed-exports"],
            },
            threshold=1,
            within=QUIET,
        ),
        actions=_make_actions(document, EXPORTS),
    )


def _flood_automation(document: str | None) -> AutomationCore:
    return AutomationCore(
        name=FLOOD,
        description="A project has more new incidents in an hour than its limit. The new incidents are not exported.",
        tags=[TAG],
        trigger=EventTrigger(
            posture=Posture.Reactive,
            expect={flood.EXCEEDED},
            match={"prefect.resource.id": f"{RESOURCE}.*"},
            threshold=1,
            within=QUIET,
        ),
        actions=_make_actions(document, FLOOD),
    )


def _open_automation(document: str | None) -> AutomationCore:
    return AutomationCore(
        name=OPEN,
        description="Several sessions that still go on show the same failure. Once for each incident.",
        tags=[TAG],
        trigger=EventTrigger(
            posture=Posture.Reactive,
            expect={open_alerts.DRAFTED},
            match={"prefect.resource.id": f"{RESOURCE}.*"},
            for_each={"prefect.resource.id"},
            threshold=1,
            within=QUIET,
        ),
        actions=_make_actions(document, OPEN),
    )


def _make_actions(document: str | None, name: str) -> list[ActionTypes]:
    if document is None:
        return [DoNothing()]
    body = _EXPORTS_BODY if name == EXPORTS else _MESSAGE_BODY
    return [SendNotification.model_validate({"block_document_id": document, "subject": name, "body": body})]


def _dump_actions(actions: list[ActionTypes]) -> list[object]:
    return [action.model_dump(mode="json") for action in actions]


def _are_own_actions(actions: list[ActionTypes], name: str) -> bool:
    """Whether users have not changed these actions, except for the notification block."""
    if len(actions) != 1:
        return False
    (action,) = actions
    if isinstance(action, SendNotification):
        return _dump_actions(actions) == _dump_actions(_make_actions(str(action.block_document_id), name))
    return isinstance(action, DoNothing)


def _find_block_document_id(client: SyncPrefectClient, block: str) -> str | None:
    slug, _, name = block.partition("/")
    try:
        return str(client.read_block_document_by_name(name, slug).id)
    except (ObjectNotFound, PrefectHTTPStatusError, httpx.HTTPError) as error:
        _log.warning("warnings appear only in the Prefect UI: there is no block %r (%s)", block, type(error).__name__)
        return None
