"""What `furrow incidents show` says about the sessions that reached the step."""

from furrow.cli.impact_facts import list_impact_facts
from incidents.impact import Share, compare_facet
from incidents.incident import FixProof, Impact, Rate
from stores.incidents.impact_read import build_rate


def make_impact(fix: FixProof | None = None) -> Impact:
    values = compare_facet(Share(10, 3), {"2.0": Share(3, 3), "1.9": Share(7, 0)})
    versions = [{**build_rate(f.share), "value": f.value, "others": build_rate(f.others)} for f in values]
    return {
        **build_rate(Share(10, 3)),
        "step": "control",
        "byAppVersion": versions,  # type: ignore[typeddict-item]  # a comprehension of spread values
        "byBrowser": [],
        "byEnvironment": [],
        "byDay": [],
        "fix": fix,
    }


def test_nothing_is_shown_before_it_is_counted() -> None:
    assert list_impact_facts(None) == []


def test_counts_rate_interval_and_versions() -> None:
    assert dict(list_impact_facts(make_impact())) == {
        "hit": "3 of 10 sessions that reached this step (30.0%; 95 % interval 10.8% to 60.3%)",
        "hit by version": "1.9 0/7 (0.0%), 2.0 3/3 (100.0%)",
        "hit by browser": "",
        "hit by environment": "",
    }


def test_a_fix_is_shown_with_its_proof() -> None:
    since: Rate = build_rate(Share(130, 0))
    fix: FixProof = {
        **since,
        "since": "2024-01-15T10:07:00.000Z",
        "before": build_rate(Share(10, 3)),
        "confirmed": True,
        "confirmedAt": "2024-01-16T00:00:00.000Z",
        "byAppVersion": [],
    }
    facts = dict(list_impact_facts(make_impact(fix)))
    assert facts["since the fix of 2024-01-15 10:07"] == (
        "0 of 130 sessions that reached this step (0.0%; 95 % interval 0.0% to 2.9%): confirmed by these counts"
    )
    assert facts["before the fix"] == "3 of 10 sessions that reached this step (30.0%; 95 % interval 10.8% to 60.3%)"
