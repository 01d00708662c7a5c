"""GET /furrow.js on a real socket: caches, codings, other origins; and what is said where nothing was built."""

import gzip
import hashlib
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from collector.routes.script import CURRENT_CACHE, VERSIONED_CACHE, choose_coding
from core.browser_script import BrowserScript, build_script_tag, installed_browser_script, read_browser_script
from tests.attacks.senders import site

PLAIN = b'(()=>{var v="furrow-browser/9.8.7";' + b"x();" * 200 + b"})();"


BROTLI = b"what brotli would make"
"""The library is not installed, so that the client leaves it as it is."""


@pytest.fixture
def built(tmp_path: Path) -> BrowserScript:
    """A bundle of a few bytes, in its three forms."""
    folder = tmp_path / "dist"
    folder.mkdir()
    (folder / "furrow.js").write_bytes(PLAIN)
    (folder / "furrow.js.gz").write_bytes(gzip.compress(PLAIN))
    (folder / "furrow.js.br").write_bytes(BROTLI)
    found = read_browser_script(folder)
    assert found is not None
    return found


@pytest.fixture
def client(tmp_path: Path, built: BrowserScript, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    monkeypatch.setattr("collector.routes.script.installed_browser_script", lambda: built)
    with site(tmp_path, api=False, intake_at_any_host=True) as made, made.client() as found:
        yield found


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip", "gzip"),
        ("GZIP;q=0.5, br;q=0", "gzip"),
        ("br;q=0, *", "gzip"),
        ("identity", ""),
        ("gzip;q=0", ""),
        ("gzip;q=much", ""),
        ("", ""),
        ("*", "br"),
    ],
)
def test_each_browser_gets_the_form_that_it_accepts(client: httpx.Client, accepted: str, coding: str) -> None:
    answer = client.get("/furrow.js", headers={"accept-encoding": accepted})
    assert (answer.status_code, answer.content) == (200, BROTLI if coding == "br" else PLAIN)
    assert answer.headers.get("content-encoding", "") == coding
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["vary"] == "accept-encoding"


def test_a_page_of_any_origin_may_load_it_and_nothing_is_guessed(client: httpx.Client) -> None:
    headers = client.get(
        "/furrow.js", headers={"origin": "https://shop.example", "host": "events.shop.example"}
    ).headers
    assert headers["access-control-allow-origin"] == "*"
    assert headers["cross-origin-resource-policy"] == "cross-origin"
    assert headers["x-content-type-options"] == "nosniff"


def test_the_current_script_is_asked_for_again_and_the_versioned_one_never_changes(client: httpx.Client) -> None:
    current, versioned = (
        client.get("/furrow.js"),
        client.get("/furrow-9.8.7.js", headers={"host": "events.shop.example"}),
    )
    assert (current.headers["cache-control"], versioned.headers["cache-control"]) == (CURRENT_CACHE, VERSIONED_CACHE)
    assert "immutable" in VERSIONED_CACHE
    assert current.content == versioned.content == PLAIN


def test_a_browser_that_has_it_gets_no_body(client: httpx.Client) -> None:
    tags = {
        coding: client.get("/furrow.js", headers={"accept-encoding": coding}).headers["etag"]
        for coding in ("br", "gzip", "x")
    }
    assert len(set(tags.values())) == 3, "a strong tag names one form"
    for tag in (*tags.values(), f"W/{tags['br']}", f'"other", {tags["gzip"]}', "*"):
        answer = client.get("/furrow.js", headers={"if-none-match": tag})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["cache-control"] == CURRENT_CACHE
    assert client.get("/furrow.js", headers={"if-none-match": '"other"'}).status_code == 200


def test_another_version_is_named(client: httpx.Client) -> None:
    answer = client.get("/furrow-1.0.0.js")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "other_version")
    assert "/furrow-9.8.7.js" in answer.json()["error"]["message"]


def test_without_a_bundle_it_says_what_to_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.routes.script.installed_browser_script", lambda: None)
    with site(tmp_path) as made, made.client() as client:
        for path in ("/furrow.js", "/furrow-9.8.7.js"):
            answer = client.get(path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "script_not_built")
            assert "npm" in answer.json()["error"]["message"]


def test_a_folder_without_a_bundle_or_version_has_none(tmp_path: Path) -> None:
    assert read_browser_script(tmp_path) is None
    (tmp_path / "furrow.js").write_bytes(b"x();")
    assert read_browser_script(tmp_path) is None
    (tmp_path / "furrow.js").write_bytes(PLAIN)
    found = read_browser_script(tmp_path)
    assert found is not None
    assert found.encoded == {}
    assert choose_coding("br, gzip", found.encoded) == ""


def test_the_tag_holds_the_hash_of_what_is_served(built: BrowserScript) -> None:
    assert (
        build_script_tag("https://c.example", "k")
        == '<script async src="https://c.example/furrow.js" data-key="k"></script>'
    )
    expected = "sha384-" + b64encode(hashlib.sha384(PLAIN).digest()).decode()
    assert build_script_tag("https://c.example", "k", built) == (
        '<script async src="https://c.example/furrow-9.8.7.js" data-key="k" '
        f'integrity="{expected}" crossorigin="anonymous"></script>'
    )


def test_the_compressed_forms_of_the_installed_bundle_are_the_bundle() -> None:
    script = installed_browser_script()
    assert script is not None, "browser/dist holds the built bundle"
    assert gzip.decompress(script.encoded["gzip"]) == script.plain
    assert len(script.encoded["br"]) <= len(script.encoded["gzip"]) < len(script.plain)
