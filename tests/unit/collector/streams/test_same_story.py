"""One visit of a small shop, recorded with each real SDK (tests/streams/record): the same failing button for all."""

from collector.streams.registry import STREAMS
from tests.streams.recordings import RECORDINGS, judge, read_all, read_recording
from ufse import Detection

FORMATS = {"datadog": "datadog", "sentry": "sentry", "posthog": "posthog", "amplitude": "amplitude", "otel": "otlp"}
PAY = ("/checkout", "button#pay", "POST /api/orders → 500")
MAX_SCORE_DIFFERENCE = 10


def find(sdk: str) -> list[Detection]:
    stream = next(stream for stream in STREAMS if stream.name == FORMATS[sdk])
    recording = read_recording(RECORDINGS / "visit-shop" / f"{sdk}.jsonl.gz")
    return judge(read_all(stream, [sent for sent in recording.requests if sent.content]))


def test_each_sdk_shows_the_same_failing_button_and_nothing_else() -> None:
    scores = []
    for sdk in FORMATS:
        (found,) = find(sdk)
        point = found["failurePoint"]
        assert (point["route"], point["target"], point["feedback"]) == PAY, sdk
        scores.append(found["frustrationScore"])
    assert max(scores) - min(scores) <= MAX_SCORE_DIFFERENCE
