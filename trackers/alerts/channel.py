"""A channel: what can send a message. Slack is sent to directly, every other URL is Apprise's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pydantic import SecretStr

from core.errors import FurrowError
from trackers.alerts.message import Message
from trackers.alerts.schemes import SLACK_SCHEMES, find_scheme
from trackers.transport import Reach

FIRST_WAIT_S: Final = 60.0
LONGEST_WAIT_S: Final = 3_600.0


class NotSent(FurrowError):
    """The channel did not take the message.

    ``doubtful``: it may have arrived all the same, since the answer was lost. ``wait_s``: how long the channel asks to wait.
    """

    def __init__(self, reason: str, *, doubtful: bool, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.doubtful = doubtful
        self.wait_s = wait_s


class GoneMessage(NotSent):
    """The message, or its channel, is no more, or cannot be changed any more."""


@dataclass(frozen=True)
class ChannelContext:
    """What channels need of the settings: the allowed addresses, and where Slack is."""

    reach: Reach
    slack_url: str


class Channel(Protocol):
    """Sends messages to one address."""

    def check_address(self) -> str:
        """What kind of channel it is. Nothing is sent. Raises PermanentError when it is none, or not allowed."""

    def send_message(self, message: Message) -> Mapping[str, Any] | None:
        """Send it. The result is what the channel calls the message if it can be changed. Raises NotSent."""

    def change_message(self, reference: Mapping[str, Any], message: Message) -> None:
        """Write a sent message anew. Raises NotSent, and GoneMessage when it cannot be changed any more."""

    def close(self) -> None:
        """Release what it holds."""


def open_channel(url: SecretStr, context: ChannelContext) -> Channel:
    """The channel of a URL. Nothing is sent. Raises PermanentError, without the URL, when it cannot be one."""
    from trackers.alerts.apprise_channel import AppriseChannel
    from trackers.alerts.slack import open_slack_channel

    if find_scheme(url) in SLACK_SCHEMES or url.get_secret_value().startswith("https://hooks.slack.com/"):
        return open_slack_channel(url, context)
    return AppriseChannel(url, context)


def choose_wait(error: NotSent, attempts: int) -> float:
    """Seconds until the next attempt: what the channel asks for, else twice as long after each attempt, at most an hour."""
    return float(min(max(error.wait_s or 0.0, FIRST_WAIT_S * 2 ** min(attempts - 1, 10)), LONGEST_WAIT_S))
