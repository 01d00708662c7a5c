"""The matrix of faults: at the end there is exactly one ticket for each incident, and it is the one in the ledger.

A part of the trials; ``make trials`` runs them all and prints how many ended like that.
"""

import os
from typing import Any

import pytest

from tests.fakes import github as fake_github
from tests.fakes import gitlab as fake_gitlab
from tests.fakes import jira as fake_jira
from tests.fakes import linear as fake_linear
from tests.fakes import webhook as fake_webhook
from tests.fakes.forge import FakeForge
from tests.fakes.github import FakeGitHub
from tests.fakes.gitlab import FakeGitLab
from tests.fakes.jira import FakeJira
from tests.fakes.linear import FakeLinear
from tests.fakes.webhook import FakeWebhook
from tests.integration.incident_store_cases import incident, incident_id
from tests.integration.test_export import confirmed, installation, setting, store
from tests.integration.test_export_faults import sql
from tests.integration.ticket_trials import FAILURES, SITES, Trial, choose_trials, disturb, list_trials, recover
from trackers.forge.text import read_identity

__all__ = ["installation", "setting"]

EVERY = int(os.environ.get("FURROW_TEST_TRIALS_EVERY", "9"))
"""Of so many trials, one runs."""


def open_fake(site: str) -> Any:
    if site == "linear":
        return FakeLinear()
    if site == "webhook":
        return FakeWebhook()
    if site == "github":
        return FakeGitHub()
    return FakeGitLab() if site == "gitlab" else FakeJira(site)


def settings_of(fake: Any, site: str) -> dict[str, str]:
    if isinstance(fake, FakeLinear):
        return {"linear_url": fake.url, "linear_key": fake_linear.KEY, "linear_team": "ENG"}
    if isinstance(fake, FakeGitHub):
        return {"github_url": fake.url, "github_token": fake_github.TOKEN, "github_repository": "acme/shop"}
    if isinstance(fake, FakeGitLab):
        return {"gitlab_url": fake.url, "gitlab_token": fake_gitlab.TOKEN, "gitlab_project": "acme/shop"}
    if isinstance(fake, FakeWebhook):
        return {"webhook_url": fake.url, "webhook_secret": fake_webhook.SECRET}
    account = {"jira_user": fake_jira.USER, "jira_token": fake_jira.TOKEN}
    return {"jira_url": fake.address, "jira_project": "OPS", "jira_kind": site, **account}


def find_tickets(fake: Any) -> dict[str, list[str]]:
    """The open tickets in the tracker by incident."""
    found: dict[str, list[str]] = {}
    if isinstance(fake, FakeLinear):
        for issue in fake.issues.values():
            (page,) = {one["url"] for one in fake.attachments if one["issue"] is issue}
            found.setdefault(page.rpartition("/")[2], []).append(issue["identifier"])
        return found
    if isinstance(fake, FakeForge):
        incidents = {f"furrow-{incident_id(one).removeprefix('inc_')}": incident_id(one) for one in FAILURES}
        for key, issue in fake.issues.items():
            if issue["open"]:
                found.setdefault(incidents[read_identity(issue["body"])], []).append(key)
        return found
    if isinstance(fake, FakeWebhook):
        for key, issue in fake.issues.items():
            found.setdefault(issue["incident"], []).append(key)
        return found
    for key, issue in fake.issues.items():
        if issue["status"] != "done":
            found.setdefault(issue["properties"]["furrow"]["incident"], []).append(key)
    return found


def find_ledger() -> dict[str, list[str]]:
    """The tickets in the ledger by incident."""
    rows = sql("SELECT incident_id, ticket_key FROM outbox WHERE state = 'filed' AND ticket_key IS NOT NULL")
    return {row[0]: [row[1]] for row in rows}


def pass_time() -> None:
    """Leases end, pauses are over, an hour goes by."""
    sql("UPDATE outbox SET lease_until = now() - interval '1 s' WHERE state = 'claimed'")
    sql("UPDATE outbox SET retry_at = now() - interval '1 s' WHERE retry_at IS NOT NULL")
    sql("UPDATE outbox SET check_at = check_at - interval '1 hour', upkeep_at = NULL")
    sql("UPDATE tracker_gates SET closed_until = NULL")


@pytest.mark.parametrize("trial", choose_trials(EVERY), ids=str)
def test_there_is_exactly_one_ticket_and_the_ledger_has_it(trial: Trial, setting: Any, record_property: Any) -> None:
    with open_fake(trial.site) as fake:
        setting(**settings_of(fake, trial.site))
        confirmed(*FAILURES)
        recover(disturb(trial, fake), pass_time)
        found = find_tickets(fake)
        assert {id_: len(keys) for id_, keys in found.items()} == {incident_id(one): 1 for one in FAILURES}
        assert find_ledger() == found
        assert all(incident(store(), one)["exported"] for one in FAILURES)
        assert fake.violations == []


def test_the_matrix_is_whole() -> None:
    trials = list_trials()
    assert len(trials) == len(set(trials)) == 72 * len(SITES)
    assert choose_trials(1) == trials
    assert {trial.site for trial in choose_trials(EVERY)} == set(SITES)
