"""The order of roles, and the mapping of groups."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.roles import PERSON_ROLES, Scope, includes_role, join_scopes, lower_role, parse_group_roles


def test_each_role_includes_those_before_it_and_none_after() -> None:
    for place, held in enumerate(PERSON_ROLES):
        assert [includes_role(held, needed) for needed in PERSON_ROLES] == [n <= place for n in range(3)]
        assert not includes_role(held, "ingest")
        assert not includes_role("ingest", held)
        assert not includes_role("owner", held)
        assert not includes_role("", held)
    assert includes_role("ingest", "ingest")


def test_the_lower_role_wins() -> None:
    assert lower_role("admin", "viewer") == lower_role("viewer", "admin") == "viewer"


def test_groups_have_a_role_in_all_or_in_some_projects() -> None:
    text = json.dumps({"staff": "viewer", "shop team": "operator: shop, blog", "/ops": "admin:*"})
    assert parse_group_roles(text) == {
        "staff": (Scope("*", "viewer"),),
        "shop team": (Scope("shop", "operator"), Scope("blog", "operator")),
        "/ops": (Scope("*", "admin"),),
    }
    assert parse_group_roles("") == {}


@pytest.mark.parametrize(
    "text",
    ["x", "[]", "3", '{"a": "owner"}', '{"a": "ingest"}', '{"a": 3}', '{"a": "operator:"}', '{"a": "viewer:shop,"}',
     '{"a": null}', '{"a": ["viewer"]}', '{"a": ""}'],
)  # fmt: skip
def test_another_mapping_is_refused_without_its_values(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be a JSON object|role of a group") as caught:
        parse_group_roles(text)
    assert "owner" not in str(caught.value)


@given(st.lists(st.builds(Scope, st.sampled_from("*abc"), st.sampled_from(PERSON_ROLES))))
def test_joined_scopes_hold_the_highest_role_of_each_project(scopes: list[Scope]) -> None:
    joined = join_scopes(tuple(scopes))
    assert joined == join_scopes(tuple(reversed(scopes)))
    assert {one.project for one in joined} == {one.project for one in scopes}
    assert len({one.project for one in joined}) == len(joined)
    for one in joined:
        assert all(includes_role(one.role, other.role) for other in scopes if other.project == one.project)
    assert all(one.project != "*" for one in joined[1:])
