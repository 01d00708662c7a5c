"""Sends the test of the channels of alerts that a person asked for on the page of settings."""

from prefect import task

from blocks.documents import effective_settings
from core.alert_settings import parse_channels
from core.error_messages import describe_error
from core.errors import FurrowError
from core.settings import Settings
from stores.incidents.channel_tests import ChannelAnswer
from stores.incidents.log_incident_store import LogIncidentStore
from tasks import connections
from tasks.alerts import send_test_alert
from tasks.retrying import POLICY


@task(name="test channels", **{**POLICY, "retries": 0})
def answer_channel_test() -> int:
    """Send a test to each channel if a person asks for it, and record what became of it. Returns how many were sent.

    A channel that refuses or is away is an answer, and no failure of the run. A run that dies before it recorded the answers
    leaves the test to the next one, which sends it again.
    """
    store = connections.incident_store()
    if isinstance(store, LogIncidentStore):
        return 0
    test = store.channel_tests.read_test()
    if test is None or test.answered_at is not None:
        return 0
    settings = effective_settings()
    answers = [_test_channel(name, settings) for name in parse_channels(settings.alert_urls)]
    store.channel_tests.record_answers(test, answers)
    return sum(answer.sent for answer in answers)


def _test_channel(name: str, settings: Settings) -> ChannelAnswer:
    try:
        send_test_alert(name, settings)
    except FurrowError as error:
        return ChannelAnswer(name, False, describe_error(error))
    return ChannelAnswer(name, True, "")
