"""The sign-in link of `furrow up`: it works once, and only its user can read the file."""

from pathlib import Path

import httpx
import pytest

from core.kept_secrets import development_keys
from core.settings import Settings
from furrow.clients.operator_api import OperatorApi
from furrow.clients.sign_in_link import FILE, make_first_link
from tests.integration.api_cases import fill, serving


def test_the_link_is_kept_for_its_user_alone_and_works_once(tmp_path: Path, postgres_url: str) -> None:
    fill(postgres_url).close()
    settings = Settings(data_dir=tmp_path / "data")
    _, operator = development_keys(settings)
    with serving(tmp_path, postgres_url, development_operator_key=operator) as client:
        link = make_first_link(settings, str(client.base_url), has_development_keys=True)
        file = settings.data_dir / FILE
        assert (file.read_text().strip(), file.stat().st_mode & 0o777) == (link, 0o600)
        assert httpx.get(link, trust_env=False).status_code == 303
        assert httpx.get(link, trust_env=False).status_code == 401
        again = make_first_link(settings, str(client.base_url), has_development_keys=True)
        assert again != link
        assert file.read_text().strip() == again


def test_without_a_collector_or_a_key_there_is_no_link(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    assert make_first_link(settings, "http://127.0.0.1:9", has_development_keys=False) == ""
    assert make_first_link(settings, "http://127.0.0.1:9", has_development_keys=True) == ""
    assert not (settings.data_dir / FILE).exists()


def test_a_viewers_link_reads(tmp_path: Path, postgres_url: str) -> None:
    fill(postgres_url).close()
    with serving(tmp_path, postgres_url) as client, OperatorApi(str(client.base_url), "shop-operator") as api:
        client.get(api.make_sign_in_link("viewer")["url"])
        shown = client.get("/incidents")
        assert shown.status_code == 200
        assert 'name="action"' not in shown.text


@pytest.mark.parametrize("role", ["owner", "ingest", "", 3])
def test_a_link_has_a_known_role(tmp_path: Path, postgres_url: str, role: object) -> None:
    fill(postgres_url).close()
    with serving(tmp_path, postgres_url) as client:
        made = client.post("/v1/sign-in-links", json={"role": role}, headers={"X-API-Key": "shop-operator"})
        assert made.status_code == 400
