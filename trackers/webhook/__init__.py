"""A webhook for everything else. Declared in `core.tracker_kinds`."""

from collections.abc import Mapping

from core.tracker_kinds import WebhookSettings
from trackers.protocol import RemoteTracker
from trackers.transport import Reach
from trackers.webhook.tracker import WebhookTracker

__all__ = ["WebhookTracker", "open_tracker"]


def open_tracker(settings: WebhookSettings, targets: Mapping[str, str], reach: Reach) -> RemoteTracker:
    """The webhook of ``settings``; ``targets`` are topics by Furrow project.

    Raises PermanentError when the configuration lacks something.
    """
    return WebhookTracker(settings.webhook_secret, settings.webhook_url, settings.webhook_topic, targets, reach)
