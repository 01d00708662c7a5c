"""Keys that are tried one after the other."""

from pathlib import Path

import pytest

from tests.attacks.collector import INGEST, OPERATOR, request, running


@pytest.mark.parametrize("path", ["/v1/status", "/v1/incidents", "/v1/incidents/inc_1"])
def test_unknown_operator_keys_are_slowed_down(tmp_path: Path, path: str) -> None:
    with running(tmp_path) as collector:
        answers = [collector.get(path, f"guess-{n}", "127.0.0.2") for n in range(100)]
        statuses = [answer.status for answer in answers]
        assert statuses[0] == 401
        assert statuses.count(429) >= 60
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert collector.get(path, OPERATOR, "127.0.0.3").status != 429, "a right key from elsewhere"
        assert collector.get(path, OPERATOR, "127.0.0.2").status != 429, "nor one that nobody guesses"
        assert collector.get(path, "guess", "127.0.0.3").status == 401
        assert collector.is_healthy()


def test_a_short_key_is_not_looked_up_for_who_guesses(tmp_path: Path) -> None:
    with running(tmp_path, operator_key="short") as collector:
        for n in range(60):
            collector.get("/v1/status", f"guess-{n}", "127.0.0.2")
        assert collector.get("/v1/status", "short", "127.0.0.2").status == 429
        assert collector.get("/v1/status", "short", "127.0.0.3").status == 200


def test_unknown_ingest_keys_are_slowed_down_and_the_right_one_is_not(tmp_path: Path) -> None:
    with running(tmp_path) as collector:
        statuses = [collector.ask(request(key=f"old-{n}"), "127.0.0.2").status for n in range(90)]
        assert statuses.count(401) >= 20
        assert statuses[-1] == 429
        assert collector.ask(request(key=INGEST), "127.0.0.2").status == 202
