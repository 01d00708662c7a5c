"""The next claim, which reads an index, picks what sorting all incidents that wait would pick."""

import random
from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy as sa

from stores.incidents import incident_outbox
from stores.incidents.incident_database import Database
from stores.incidents.incident_store import IncidentStore

_INCIDENT = """
    INSERT INTO incidents (incident_id, project, fingerprint, status, severity, affected_sessions, highest_score, generation,
        created_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, now() - make_interval(secs => %s))
"""
_TICKET = """
    INSERT INTO outbox (incident_id, tracker, state, ticket_key, generation, refused_by, retry_at, lease_until, filed_at)
    VALUES (%s, %s, %s, %s, %s, %s, now() + make_interval(secs => %s), now() + make_interval(secs => %s),
        now() - make_interval(secs => %s))
"""


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    store = IncidentStore.connect(postgres_url)
    store.migrate()
    store.close()
    made = Database(postgres_url)
    yield made
    made.close()


def fill(url: str, chance: random.Random) -> None:
    """Incidents in any state, and tickets of two trackers in any state."""
    with psycopg.connect(url) as connection:
        for number in range(120):
            incident = f"inc_{number}"
            connection.execute(
                _INCIDENT,
                (
                    incident,
                    chance.choice(("shop", "blog", "docs")),
                    str(number),
                    chance.choice(("confirmed", "regressed", "confirmed", "draft", "resolved")),
                    chance.choice(("Critical", "High", "Medium", "Low")),
                    chance.choice((0, 3, 3, 3)),
                    chance.choice((60, 85, 90)),
                    chance.choice((0, 0, 1, 2)),
                    chance.choice((0, 10, 10, 5_000)),
                ),
            )
            for tracker in ("jira", "linear"):
                if chance.random() < 0.5:
                    state = chance.choice(("logged", "claimed", "retry", "filed", "export_failed"))
                    key = "WEB-1" if state == "filed" or chance.random() < 0.3 else None
                    moments = (chance.choice((-60, 600)), chance.choice((-60, 600)), chance.choice((60, 7_200)))
                    refused = chance.choice((None, "settings", "others")) if state == "export_failed" else None
                    values = (incident, tracker, state, key, chance.choice((0, 1)), refused, *moments)
                    connection.execute(_TICKET, values)


@pytest.mark.parametrize("seed", range(6))
def test_the_next_claim_is_that_of_all_that_wait(database: Database, postgres_url: str, seed: int) -> None:
    chance = random.Random(seed)
    fill(postgres_url, chance)
    for _ in range(10):
        values = {
            "tracker": chance.choice(("jira", "linear")),
            "limit": chance.choice((1, 3, 200)),
            "min_score": 80,
            "lease_s": 60,
            "only": None,
            "failed": False,
            "access": chance.choice((None, "settings")),
            "project": chance.choice((None, "shop")),
            "rate": chance.choice((None, 0, 1, 5, 1_000)),
            "rate_window_s": 3600,
        }
        assert claim(database, incident_outbox._CLAIM_NEXT, values) == claim(
            database, incident_outbox._CLAIM_CHOSEN, values
        )


def claim(database: Database, statement: sa.TextClause, values: dict[str, object]) -> list[tuple[str, str]]:
    """What is claimed, in order; nothing is kept."""
    with database.open_transaction() as connection:
        found = [(row.incident_id, row.state_before) for row in connection.execute(statement, values)]
        connection.rollback()
    return found
