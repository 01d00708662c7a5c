"""deploy/helm, rendered by Helm and held against the schemas of Kubernetes and what Furrow's processes read."""

import importlib.util
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.settings import Settings
from tests.deploy import helm
from tests.deploy.test_containers import prefect_variables
from trackers.ticket_webhooks import WEBHOOK_KINDS

kubernetes_validate = pytest.importorskip("kubernetes_validate")

CHART = Path(__file__).parents[2] / "deploy/helm/furrow"
VERSIONS = ("1.25", "1.30", "1.37")
INGRESS = ("ingress.enabled=true", "ingress.host=events.shop.example", "ingress.tlsSecret=tls")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = helm.program()
    if program is None:
        pytest.skip("Helm is not installed (python -m tests.deploy.helm): the chart is then not rendered")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def rendered(*values: str) -> list[dict[str, Any]]:
    options = [word for value in ("existingSecret=furrow", *values) for word in ("--set", value)]
    made = run("template", "shop", str(CHART), *options)
    assert made.returncode == 0, made.stderr
    return [one for one in yaml.safe_load_all(made.stdout) if one]


def pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Pod specs by component."""
    templates = [one["spec"]["template"] for one in objects if one["kind"] in ("Deployment", "Job")]
    return {one["metadata"]["labels"]["app.kubernetes.io/component"]: one["spec"] for one in templates}


def containers(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for spec in pods(objects).values() for one in spec["containers"]}


@pytest.fixture(scope="module")
def chart() -> list[dict[str, Any]]:
    return rendered(*INGRESS)


def test_helm_finds_nothing_to_complain_about() -> None:
    linted = run("lint", str(CHART), "--strict", "--set", "existingSecret=furrow")
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("values", [INGRESS, ("networkPolicy.enabled=false", "spool.accessMode=ReadWriteMany")])
def test_every_object_fits_the_schema(version: str, values: tuple[str, ...]) -> None:
    for one in rendered(*values):
        kubernetes_validate.validate(one, version, strict=True)


@pytest.mark.parametrize(
    ("values", "words"),
    [(["existingSecret="], "name a Secret"), (["ingress.enabled=true"], "the name that pages send to")],
)
def test_what_must_be_set_is_asked_for(values: list[str], words: str) -> None:
    options = [word for value in values for word in ("--set", value)]
    first = [] if values[0].startswith("existing") else ["--set", "existingSecret=furrow"]
    made = run("template", "shop", str(CHART), *first, *options)
    assert made.returncode != 0
    assert words in made.stderr


def test_every_pod_fits_the_restricted_standard(chart: list[dict[str, Any]]) -> None:
    """Kubernetes' Pod Security Standard `restricted`, and read-only roots beyond it."""
    assert set(pods(chart)) == {"collector", "lander", "worker", "prefect", "deploy"}
    for spec in pods(chart).values():
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(spec)
        assert all(set(volume) - {"name"} <= {"emptyDir", "persistentVolumeClaim"} for volume in spec["volumes"])
    for one in containers(chart).values():
        context = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        assert one["securityContext"] == context
        assert one["resources"]["limits"]["memory"]
        assert all("hostPort" not in port for port in one.get("ports", []))


def test_each_process_gets_its_own_secrets_alone(chart: list[dict[str, Any]]) -> None:
    entries = {
        name: {v["valueFrom"]["secretKeyRef"]["key"] for v in one["env"] if "valueFrom" in v}
        for name, one in containers(chart).items()
    }
    stores = {"event-store-url", "incident-store-url"}
    trackers = {"jira-token", "linear-key", "github-token", "gitlab-token", "webhook-secret"}
    assert entries == {
        "collector": {
            "incident-store-url",
            "user-salt",
            "oidc-client-secret",
            "jira-webhook-secret",
            "linear-webhook-secret",
            "github-webhook-secret",
            "gitlab-webhook-secret",
        },
        "lander": {*stores, "prefect-auth"},
        "deploy": {*stores, "prefect-auth"},
        "prefect": {"prefect-auth"},
        "worker": {*stores, "user-salt", "prefect-auth", "jira-user", "alert-urls", *trackers},
    }
    assert not [one for one in chart if one["kind"] == "Secret"]


def test_every_command_and_variable_exists(chart: list[dict[str, Any]]) -> None:
    known = {f"FURROW_{field.upper()}" for field in Settings.model_fields} | prefect_variables() | {"PREFECT_HOME"}
    named: set[str] = set()
    for one in containers(chart).values():
        assert one["command"][:2] == ["python", "-m"]
        module = one["command"][2]
        named |= {variable["name"] for variable in one["env"]}
        assert importlib.util.find_spec(module) is not None
        assert "prefect" not in one["command"], "Prefect's own commands run what its API says"
    assert named <= known


def test_collector_lander_and_worker_share_one_spool(chart: list[dict[str, Any]]) -> None:
    claims = {
        name: {v["persistentVolumeClaim"]["claimName"] for v in spec["volumes"] if "persistentVolumeClaim" in v}
        for name, spec in pods(chart).items()
    }
    assert claims["collector"] == claims["lander"] == claims["worker"] == {"shop-furrow-spool"}
    kept = {one["metadata"]["name"]: one for one in chart if one["kind"] == "PersistentVolumeClaim"}
    assert kept["shop-furrow-spool"]["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    apart = pods(rendered("spool.accessMode=ReadWriteMany"))
    for name in ("lander", "worker"):
        assert "affinity" in pods(chart)[name]
        assert "affinity" not in apart[name]


def test_prefect_is_reached_by_furrow_alone(chart: list[dict[str, Any]]) -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in chart if one["kind"] == "NetworkPolicy"}
    (rule,) = policies["shop-furrow-prefect"]["ingress"]
    peers = {peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for peer in rule["from"]}
    assert peers == {"lander", "worker", "deploy"}
    (reached,) = policies["shop-furrow-collector"]["egress"]
    assert {port["port"] for port in reached["ports"]} == {53, 5432}
    assert policies["shop-furrow-nothing"]["policyTypes"] == ["Ingress"]
    assert "ingress" not in policies["shop-furrow-nothing"]


def served(objects: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Paths of the ingress, each with its kind."""
    (ingress,) = [one for one in objects if one["kind"] == "Ingress"]
    return [(path["path"], path["pathType"]) for path in ingress["spec"]["rules"][0]["http"]["paths"]]


def test_the_internet_reaches_events_and_webhooks_alone(chart: list[dict[str, Any]]) -> None:
    pages = [("/v1/events", "Exact"), ("/furrow.js", "Exact")]
    assert served(chart) == [*pages, *((f"/v1/webhooks/{kind.tracker}", "Exact") for kind in WEBHOOK_KINDS)]
    assert served(rendered(*INGRESS, "ingress.webhooks={jira}")) == [*pages, ("/v1/webhooks/jira", "Exact")]
    assert served(rendered(*INGRESS, "ingress.webhooks=null")) == pages
