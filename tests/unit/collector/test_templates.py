"""How templates of pages look values up."""

from collector.pages import html


def render(template: str, **values: object) -> str:
    return html._template_environment().from_string(template).render(values)


def test_a_value_of_a_dictionary_is_found_by_its_key() -> None:
    assert render("{{ it.title }}", it={"title": "a <b>"}) == "a &lt;b&gt;"


def test_a_key_from_a_browser_is_never_taken_for_a_method() -> None:
    versions = {"get": "evil", "items": "evil", "2.4.1": "good"}
    assert render("{{ it.get('2.4.1') }} {{ it.items()|length }}", it=versions) == "good 3"
