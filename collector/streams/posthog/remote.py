"""What posthog-js asks its host: its remote configuration and its flags.

Without an answer to `GET array/<token>/config`, autocapture does not begin (posthog-js 1.449.2, `remote-config.js`).
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from collector.streams.stream import Reading, SentBody, StreamAnswer

_CONFIG_PATH: Final = re.compile(r"array/[A-Za-z0-9_.-]{1,200}/config(\.js)?/?")
_FLAG_PATHS: Final = ("flags", "decide")

_REMOTE_CONFIG: Final[Mapping[str, object]] = {
    "supportedCompression": ["gzip", "gzip-js"],
    "autocapture_opt_out": False,
    "elementsChainAsString": True,
    "captureDeadClicks": True,
    "autocaptureExceptions": True,
    "capturePerformance": {"network_timing": True, "web_vitals": False},
    "sessionRecording": {
        "endpoint": "/s/",
        "consoleLogRecordingEnabled": False,
        "recordCanvas": False,
        "networkPayloadCapture": {"recordBody": False, "recordHeaders": False},
        "masking": {"maskAllInputs": True, "maskTextSelector": "*"},
    },
    "analytics": {"endpoint": "/i/v0/e/"},
    "heatmaps": False,
    "surveys": False,
    "hasFeatureFlags": False,
    "defaultIdentifiedOnly": True,
    "siteApps": [],
    "isAuthenticated": False,
    "toolbarParams": {},
}
_NO_FLAGS: Final[Mapping[str, object]] = {
    "flags": {},
    "featureFlags": {},
    "featureFlagPayloads": {},
    "errorsWhileComputingFlags": False,
    "quotaLimited": [],
}
_ACCEPTED: Final = b'{"status":"Ok"}'


def asks_only(path: str) -> bool:
    """Whether a request to ``path`` asks for something and holds no events."""
    return _CONFIG_PATH.fullmatch(path.strip("/")) is not None or _is_flag_path(path)


def answer_configuration(path: str) -> StreamAnswer | None:
    """The answer to a GET of ``path``; None for paths that do not exist (the scripts of PostHog's own host)."""
    path = path.strip("/")
    if match := _CONFIG_PATH.fullmatch(path):
        return _answer_json(_REMOTE_CONFIG) if not match[1] else StreamAnswer(200, b"", "application/javascript")
    return _answer_json({**_NO_FLAGS, **_REMOTE_CONFIG}) if _is_flag_path(path) else None


def answer_request(sent: SentBody, reading: Reading) -> StreamAnswer:
    """Exactly 200: posthog-js sends a body that is answered otherwise again, with 202 as well."""
    del reading
    if _is_flag_path(sent.path):
        return _answer_json({**_NO_FLAGS, **_REMOTE_CONFIG})
    return StreamAnswer(200, _ACCEPTED)


def _is_flag_path(path: str) -> bool:
    return path.strip("/").partition("/")[0] in _FLAG_PATHS


def _answer_json(content: Mapping[str, object]) -> StreamAnswer:
    return StreamAnswer(200, msgspec.json.encode(dict(content)))
