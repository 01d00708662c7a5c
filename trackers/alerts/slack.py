"""Slack: a bot (Web API, whose messages can be changed) or an incoming webhook (whose messages cannot)."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

import httpx
from pydantic import SecretStr

from core.errors import PermanentError
from trackers.alerts.channel import ChannelContext, GoneMessage, NotSent
from trackers.alerts.message import Message, render_slack
from trackers.alerts.schemes import UNSURE_STATUSES, list_secret_parts
from trackers.http_errors import ANSWER_SECONDS, CONNECT_SECONDS, seconds_until_retry, to_safe_line
from trackers.transport import httpx_client, is_this_machine

_BOT: Final = "xox"
_WEBHOOK_PARTS: Final = 3
_OPTIONS: Final = {"unfurl_links": False, "unfurl_media": False, "parse": "none", "link_names": False}
_GONE: Final = frozenset(
    {
        "message_not_found",
        "cant_update_message",
        "edit_window_closed",
        "channel_not_found",
        "is_archived",
        "is_inactive",
    }
)
"""After these answers, a message cannot be changed any more."""


def open_slack_channel(url: SecretStr, context: ChannelContext) -> "SlackBot | SlackWebhook":
    """``slack://xoxb-TOKEN/CHANNEL``, ``slack://A/B/C`` or ``https://hooks.slack.com/services/A/B/C``.

    Raises PermanentError for anything else.
    """
    text = url.get_secret_value()
    rest = text.partition("://")[2].partition("?")[0]
    parts = [part for part in unquote(rest.replace("#", "")).split("/") if part]
    if text.startswith("https://"):
        return SlackWebhook(url, text, context)
    if parts and parts[0].startswith(_BOT):
        if len(parts) != 2:
            raise PermanentError("a channel of Slack with a bot is slack://TOKEN/CHANNEL, one channel for each")
        return SlackBot(url, parts[0], parts[1], context)
    if len(parts) != _WEBHOOK_PARTS:
        raise PermanentError("a webhook of Slack is slack://A/B/C: the last three parts of its address, and no more")
    return SlackWebhook(url, f"{_find_hooks(context.slack_url)}/services/{'/'.join(parts)}", context)


def _find_hooks(api: str) -> str:
    """Where webhooks are, beside this Web API."""
    parts = urlsplit(api)
    name = parts.netloc if is_this_machine(parts.hostname or "") else f"hooks.{parts.netloc}"
    return urlunsplit((parts.scheme, name, "", "", ""))


class _Client:
    """Posts JSON to one address of Slack."""

    def __init__(self, url: SecretStr, address: str, context: ChannelContext, token: str = "") -> None:
        self._secrets = list_secret_parts(url)
        host = context.reach.check_url(address, "Slack")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
        self._client = httpx_client(context.reach, host, headers=headers, timeout=timeout)

    def post_json(self, address: str, body: Mapping[str, Any]) -> httpx.Response:
        """The answer, of status 200. Raises NotSent."""
        try:
            answer = self._client.post(address, json=body)
        except PermanentError as error:
            raise NotSent(str(error), doubtful=False) from None
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
            raise NotSent(f"Slack does not answer ({type(error).__name__})", doubtful=False) from None
        except httpx.HTTPError as error:
            raise NotSent(f"the answer of Slack was lost ({type(error).__name__})", doubtful=True) from None
        if answer.status_code != httpx.codes.OK:
            raise self.refuse(f"Slack answered {answer.status_code}: {answer.text[:200]}", answer)
        return answer

    def refuse(self, reason: str, answer: httpx.Response) -> NotSent:
        """The error for an answer that is a refusal."""
        doubtful = answer.status_code in UNSURE_STATUSES
        is_limit = answer.status_code == httpx.codes.TOO_MANY_REQUESTS
        wait = seconds_until_retry(answer.headers, is_limit=is_limit)
        return NotSent(to_safe_line(reason, self._secrets), doubtful=doubtful, wait_s=wait)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class SlackWebhook:
    """An incoming webhook. It answers ``ok`` and no more, so its messages cannot be changed."""

    def __init__(self, url: SecretStr, address: str, context: ChannelContext) -> None:
        self._address = address
        self._client = _Client(url, address, context)

    def check_address(self) -> str:
        """What kind of channel it is."""
        return "Slack, a webhook"

    def send_message(self, message: Message) -> None:
        """Send it. Raises NotSent."""
        self._client.post_json(self._address, render_slack(message))

    def change_message(self, reference: Mapping[str, Any], message: Message) -> None:
        """Webhooks cannot."""
        raise NotSent("a webhook cannot change a message", doubtful=False)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class SlackBot:
    """A bot with the scope ``chat:write`` in one channel."""

    def __init__(self, url: SecretStr, token: str, channel: str, context: ChannelContext) -> None:
        self._api = context.slack_url.rstrip("/")
        self._channel = channel if channel[:1] in "CGD" and channel.isupper() else f"#{channel}"
        self._client = _Client(url, self._api, context, token)

    def check_address(self) -> str:
        """What kind of channel it is."""
        return "Slack, a bot"

    def send_message(self, message: Message) -> Mapping[str, Any]:
        """Send it. The result names the message. Raises NotSent."""
        answer = self._call_method("chat.postMessage", {"channel": self._channel, **_OPTIONS, **render_slack(message)})
        return {"channel": str(answer.get("channel", "")), "ts": str(answer.get("ts", ""))}

    def change_message(self, reference: Mapping[str, Any], message: Message) -> None:
        """Write it anew. Raises NotSent."""
        body = {"channel": reference["channel"], "ts": reference["ts"], "parse": "none", **render_slack(message)}
        self._call_method("chat.update", body)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _call_method(self, method: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        answer = self._client.post_json(f"{self._api}/{method}", body)
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise NotSent("the answer of Slack is not JSON", doubtful=True)
        if not found.get("ok"):
            error = str(found.get("error", "no reason"))
            refusal = self._client.refuse(f"Slack refuses: {error}", answer)
            raise GoneMessage(str(refusal), doubtful=False) if error in _GONE else refusal
        return found
