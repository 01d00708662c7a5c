"""Named filters of the list of incidents: a person's own ones, and those that everybody sees."""

from typing import Final, NamedTuple

from sqlalchemy import text

from incidents.lifecycle import IllegalTransition
from stores.incidents.incident_database import Database

EVERYBODY: Final = ""
"""Owner of a view that everybody sees."""
MOST_VIEWS: Final = 50
"""Most views of one owner."""
_LIST = text("SELECT owner, name, query FROM saved_views WHERE owner IN ('', :owner) ORDER BY owner, lower(name), name")
_COUNT = text("SELECT count(*) FROM saved_views WHERE owner = :owner AND name <> :name")
_SAVE = text("""
    INSERT INTO saved_views (owner, name, query) VALUES (:owner, :name, :query)
    ON CONFLICT (owner, name) DO UPDATE SET query = excluded.query
""")
_REMOVE = text("DELETE FROM saved_views WHERE owner = :owner AND name = :name")


class SavedView(NamedTuple):
    """A view. ``owner``: hash of the key of its person, or `EVERYBODY`; ``query``: filters as in the address."""

    owner: str
    name: str
    query: str


class SavedViews:
    """Saved views. Thread-safe; each call is one transaction. Raises what `Database` raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list_views(self, owner: str) -> list[SavedView]:
        """The views that everybody sees, then those of ``owner``, each by name."""
        with self._database.open_transaction() as connection:
            return [SavedView(*row) for row in connection.execute(_LIST, {"owner": owner})]

    def save_view(self, view: SavedView) -> None:
        """Create a view, or change the filters of the one with this name. Raises IllegalTransition beyond `MOST_VIEWS`."""
        with self._database.open_transaction() as connection:
            if connection.execute(_COUNT, view._asdict()).scalar_one() >= MOST_VIEWS:
                raise IllegalTransition(f"there are {MOST_VIEWS} views already")
            connection.execute(_SAVE, view._asdict())

    def remove_view(self, owner: str, name: str) -> bool:
        """Remove a view; whether there was one."""
        with self._database.open_transaction() as connection:
            return connection.execute(_REMOVE, {"owner": owner, "name": name}).rowcount > 0
