"""Verdicts and exceptions as the pages and the API read them: what is common, what follows, and asking for a replay."""

import re
from dataclasses import dataclass
from typing import Any, Final

from collector.http_errors import ApiError
from collector.store import Incidents, StoreCalls
from incidents.verdicts import (
    Proposal,
    Verdict,
    count_common,
    list_exemptions,
    propose_exemptions,
    settle_sessions,
)

EXEMPTION_ID: Final = re.compile(r"exc_[0-9a-f]{32}")


@dataclass(frozen=True)
class Overview:
    """The verdicts of a project or an incident. ``sessions``: with a verdict on which all agree; ``frustrated``: those of
    them with frustration; ``disputed``: those about which people disagree."""

    sessions: int
    frustrated: int
    disputed: int
    common: dict[str, list[tuple[str, int]]]
    proposals: list[Proposal]

    def to_json(self) -> dict[str, Any]:
        """As the pages' JSON shows it."""
        return {
            "sessions": self.sessions,
            "frustrated": self.frustrated,
            "disputed": self.disputed,
            "common": {
                name: [{"value": value, "sessions": number} for value, number in values]
                for name, values in self.common.items()
            },
            "proposals": [
                {
                    "exceptionId": proposal.exemption_id,
                    "projectId": proposal.project,
                    "text": proposal.exemption.describe(),
                    "content": proposal.exemption.content(),
                    "sessions": proposal.sessions,
                    "reason": proposal.reason,
                }
                for proposal in self.proposals
            ],
        }


def read_overview(store: Incidents, project: str | None, verdicts: list[Verdict] | None = None) -> Overview:
    """The overview of a project (None: of all), or of the ``verdicts`` of one incident in it. Raises what the store raises."""
    everywhere = store.verdicts.list_verdicts(project) if verdicts is None or verdicts else []
    settled, disputed = settle_sessions(everywhere if verdicts is None else verdicts)
    shares = (
        store.verdicts.read_traffic_shares(sorted({verdict.project for verdict in everywhere})) if everywhere else {}
    )
    proposals = propose_exemptions(settle_sessions(everywhere)[0], shares)
    if verdicts is not None:
        own = {exemption for verdict in settled for exemption in list_exemptions(verdict)}
        proposals = [proposal for proposal in proposals if proposal.exemption in own]
    frustrated = sum(verdict.frustrated for verdict in settled)
    return Overview(len(settled), frustrated, disputed, count_common(settled), proposals)


async def ask_for_trial(
    store: StoreCalls, exemption_id: str, project: str | None, actor: str, reason: str = ""
) -> None:
    """Ask for the replay of a proposal. Raises ApiError (404) when verdicts propose no such exception (any more)."""

    def find_and_ask(stores: Incidents) -> bool:
        found = [
            proposal for proposal in read_overview(stores, project).proposals if proposal.exemption_id == exemption_id
        ]
        for proposal in found:
            stores.exemptions.ask_for_trial(proposal, actor, reason)
        return bool(found)

    if not await store.ask_store(find_and_ask):
        raise ApiError(404, "not_found", "The verdicts do not propose this exception any more.")
