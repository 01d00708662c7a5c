"""Blocks as people edit them in the Prefect UI: registered, found by name, stronger than the settings, silent about secrets."""

from collections.abc import Iterator

import pytest
from prefect.blocks.core import Block
from prefect.testing.standard_test_suites import BlockStandardTestSuite
from pydantic import SecretStr

import blocks
from blocks import EventStoreBlock, IncidentStoreBlock, documents, tracker_block
from core.errors import PermanentError
from core.settings import Settings

pytestmark = pytest.mark.usefixtures("prefect")


@pytest.fixture
def registered() -> Iterator[None]:
    documents.forget_blocks()
    documents.register_blocks()
    yield
    for block_type in blocks.ALL:
        block_type.delete(documents.DOCUMENT)
    documents.forget_blocks()


@pytest.mark.usefixtures("registered")
def test_fresh_blocks_leave_everything_to_the_settings() -> None:
    settings = Settings()
    assert documents.apply_blocks(settings) == settings


@pytest.mark.usefixtures("registered")
def test_registering_again_keeps_what_people_set() -> None:
    EventStoreBlock(mode="log").save(documents.DOCUMENT, overwrite=True)
    documents.register_blocks()
    assert documents.apply_blocks(Settings()).event_store_url.get_secret_value() == "log"


@pytest.mark.usefixtures("registered")
def test_blocks_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURROW_INCIDENT_STORE_URL", "log")
    monkeypatch.setenv("FURROW_LINEAR_KEY", "from-the-environment")
    url = SecretStr("postgresql://furrow:hunter2@db/furrow")
    IncidentStoreBlock(mode="server", url=url).save(documents.DOCUMENT, overwrite=True)
    tracker_block("jira")(mode="server", url="https://jira.test", token=SecretStr("hunter2"), project="OPS").save(
        documents.DOCUMENT, overwrite=True
    )
    tracker_block("linear")(mode="log").save(documents.DOCUMENT, overwrite=True)
    settings = documents.effective_settings()
    assert settings.incident_store_url == url
    assert (settings.jira_url, settings.jira_project) == ("https://jira.test", "OPS")
    assert settings.jira_token == SecretStr("hunter2")
    assert settings.linear_key is None
    assert "hunter2" not in repr(settings)


@pytest.mark.usefixtures("registered")
def test_a_server_without_a_url_is_said() -> None:
    EventStoreBlock(mode="server").save(documents.DOCUMENT, overwrite=True)
    with pytest.raises(PermanentError, match="furrow-event-store"):
        documents.effective_settings()


@pytest.mark.parametrize("block", blocks.ALL)
class TestStandards(BlockStandardTestSuite):
    """What Prefect expects of every block, but for web addresses of documentation and logo: Furrow has no web site."""

    test_has_a_documentation_url = None  # type: ignore[assignment]
    test_has_a_valid_image = None  # type: ignore[assignment]

    @pytest.fixture
    def block(self, request: pytest.FixtureRequest) -> type[Block]:
        return request.param  # type: ignore[no-any-return]
