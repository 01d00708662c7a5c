"""What the fakes of GitHub and GitLab have in common: issues of projects, with comments."""

from abc import abstractmethod
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fakes.server import Fake


def plenty(prefix: str) -> dict[str, str]:
    """The headers of each answer: much is left, and the limit is renewed in an hour."""
    renewed = str(int(datetime.now(UTC).timestamp()) + 3_600)
    return {f"{prefix}Limit": "5000", f"{prefix}Remaining": "4987", f"{prefix}Reset": renewed}


def show_time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def now() -> str:
    return show_time(datetime.now(UTC))


class FakeForge(Fake):
    """Issues by key (``acme/shop#1``). ``lag``: so many lists do not show an issue that is new. ``person``: who closes and
    opens issues; None: an account that is gone."""

    def __init__(self, project: str = "acme/shop", lag: int = 0) -> None:
        super().__init__()
        self.project, self.lag = project, lag
        self.projects: dict[str, dict[str, Any]] = {project: {}}
        self.issues: dict[str, dict[str, Any]] = {}
        self.deleted: dict[str, dict[str, Any]] = {}
        self.may_label = True
        self.person: str | None = "bea"

    def add(self, title: str = "somebody else's", body: str = "", labels: tuple[str, ...] = (), **more: Any) -> Any:
        """An issue that somebody made by hand, visible at once."""
        return self.make(self.project, title, body, list(labels), author=77) | {"unseen": 0} | more

    def make(self, project: str, title: str, body: str, labels: list[str], author: int = 1) -> dict[str, Any]:
        number = 1 + sum(key.startswith(f"{project}#") for key in [*self.issues, *self.deleted])
        issue = {
            "project": project, "number": number, "title": title, "body": body, "labels": labels, "author": author,
            "open": True, "updated": now(), "closed": None, "reason": None, "comments": [], "unseen": self.lag,
            "assignees": [], "milestone": None, "duplicate_of": "", "moved_by": None,
        }  # fmt: skip
        self.issues[f"{project}#{number}"] = issue
        return issue

    def finish(self, key: str, closed: str = "2024-02-01T09:30:00Z", **changes: Any) -> None:
        """Somebody closes it; ``changes``: ``reason`` (GitHub), ``milestone``, ``duplicate_of`` (key)."""
        done = {"open": False, "closed": closed, "reason": "completed", "updated": now(), "moved_by": self.person}
        self.issues[key] |= done | changes

    def reopen(self, key: str) -> None:
        """Somebody opens it again."""
        again = {"open": True, "closed": None, "reason": "reopened", "duplicate_of": "", "moved_by": self.person}
        self.issues[key] |= again | {"updated": now()}

    def duplicate(self, key: str, original: str) -> None:
        """Somebody closes it as a duplicate."""
        self.finish(key, closed=now(), reason="duplicate", duplicate_of=original)

    def assign(self, key: str, person: str) -> None:
        """Somebody gets it."""
        self.issues[key] |= {"assignees": [person], "updated": now()}

    def age(self) -> None:
        """A day goes by for every issue."""
        for issue in self.issues.values():
            issue["updated"] = show_time(datetime.fromisoformat(issue["updated"]) - timedelta(days=1))

    def delete(self, key: str) -> None:
        """Somebody deletes it."""
        self.deleted[key] = self.issues.pop(key)

    def listed(self, project: str, label: str, since: str, page: int, size: int) -> list[dict[str, Any]]:
        """Newest first."""
        found = []
        for issue in reversed(self.issues.values()):
            hidden = issue["unseen"] > 0
            issue["unseen"] = max(0, issue["unseen"] - 1)
            right = issue["project"] == project and label in issue["labels"] and issue["updated"] >= since
            if right and not hidden:
                found.append(issue)
        return found[(page - 1) * size : page * size]

    @abstractmethod
    def shown(self, issue: dict[str, Any]) -> dict[str, Any]:
        """An issue as the API returns it."""
