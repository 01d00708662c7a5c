"""Every endpoint of the document, fuzzed on a real socket with a real Postgres behind it: no answer is a 500, and each
has the status, type and shape that is documented."""

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi import checks

from collector.routes import registry
from collector.routes.openapi import build_openapi_document
from stores.embedded_postgres import EmbeddedPostgres
from tests.integration.api_cases import ALL, SHOP, fill, serving

schema = schemathesis.openapi.from_dict(dict(build_openapi_document(registry.GROUPS)))


of_incidents = schema.include(path_regex=r"\{incident_id\}")
listing = schema.include(path="/v1/incidents", method="GET")
thorough = settings(
    max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@dataclass(frozen=True)
class Running:
    """A collector, an HTTP session, and an incident of `shop` that is really there."""

    address: str
    session: requests.Session
    incident_id: str

    def check(self, case: schemathesis.Case, headers: dict[str, str]) -> requests.Response:
        """Send the case; every check of schemathesis must pass."""
        response = case.call(base_url=self.address, headers=headers, session=self.session)
        # No schema can say "not in the future", or that two parameters exclude each other: to schemathesis it was valid.
        beyond = (
            b"lies more than an hour after its receipt",
            b"exclude each other",
            b"`cursor` is of another list",
            b"`environment` goes with `version` or `nextRelease`",
            b"`version` and `nextRelease` go with the action `resolve`",
            b"`reason` is needed: why it was no frustration",
            b"`text` is needed with the reason `other`",
            b"`reason` belongs to the verdict `no_frustration`",
        )
        unsaid = response.status_code == 400 and any(words in response.content for words in beyond)
        case.validate_response(
            response,
            headers=headers,
            excluded_checks=[checks.positive_data_acceptance] if unsaid else [],
            transport_kwargs={"base_url": self.address, "session": self.session, "headers": dict(headers)},
        )
        return response


@pytest.fixture(scope="module")
def running(postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE api_fuzz")
    url = postgres_server.build_database_url("api_fuzz")
    fill(url).close()
    with serving(tmp_path_factory.mktemp("fuzz"), url) as client, requests.Session() as session:
        session.trust_env = False
        (found,) = client.get("/v1/incidents", headers=SHOP).json()["incidents"]
        yield Running(str(client.base_url), session, found["incidentId"])


@schema.parametrize()
@thorough
def test_every_answer_is_a_documented_one(case: schemathesis.Case, running: Running) -> None:
    running.check(case, ALL)


@of_incidents.parametrize()
@thorough
def test_an_incident_that_is_there_answers_as_documented(case: schemathesis.Case, running: Running) -> None:
    case.path_parameters = {"incident_id": running.incident_id}
    response = case.call(base_url=running.address, headers=SHOP, session=running.session)
    # The path is not the generated one any more, so that what was negated is unknown.
    case.validate_response(response, excluded_checks=[checks.negative_data_rejection, checks.positive_data_acceptance])
    # The body may name a session or another incident that is not there.
    names_another = isinstance(case.body, dict) and case.body.keys() & {"sessionId", "into"}
    assert response.status_code != 404 or names_another


@listing.parametrize()
@thorough
def test_a_key_of_one_project_is_listed_that_project_alone(case: schemathesis.Case, running: Running) -> None:
    body = running.check(case, SHOP).json()
    assert {incident["projectId"] for incident in body.get("incidents", ())} <= {"shop"}
    assert body.get("total", 0) <= 1
