"""Reads the descriptions of the applications from apps/*.json."""

import json
from pathlib import Path
from typing import TypedDict

from tests.agents.model import App, Control, Goal, Link, Step


class ControlData(TypedDict):
    """A control as it is written in a description."""

    id: str
    label: str
    type: str
    tag: str
    selector: str


class StepData(TypedDict):
    """A step as it is written in a description."""

    route: str
    fields: list[ControlData]
    action: ControlData
    method: str
    url: str
    following: str
    other: ControlData | None
    third: str
    form: bool


class LinkData(TypedDict):
    """A link as it is written in a description."""

    route: str
    control: ControlData


class GoalData(TypedDict):
    """A goal as it is written in a description."""

    name: str
    steps: list[StepData]


class AppData(TypedDict):
    """An application as it is written in a description."""

    name: str
    style: str
    framework: str
    home: str
    poll: str
    touch: float
    webview: bool
    links: list[LinkData]
    help: LinkData
    repeat: ControlData
    login: StepData
    rows: StepData | None
    goals: list[GoalData]


def read_control(data: ControlData) -> Control:
    """Make a control of its description."""
    return Control(data["id"], data["label"], data["type"], data["tag"], data["selector"])


def read_step(data: StepData) -> Step:
    """Make a step of its description."""
    return Step(
        data["route"],
        tuple(read_control(each) for each in data["fields"]),
        read_control(data["action"]),
        data["method"],
        data["url"],
        data["following"],
        read_control(data["other"]) if data["other"] else None,
        data["third"],
        data["form"],
    )


def read_link(data: LinkData) -> Link:
    """Make a link of its description."""
    return Link(read_control(data["control"]), data["route"])


def read_app(path: Path) -> App:
    """Make an application of its description."""
    data: AppData = json.loads(path.read_text(encoding="utf-8"))
    return App(
        data["name"],
        data["style"],
        data["framework"],
        data["home"],
        tuple(read_link(each) for each in data["links"]),
        tuple(Goal(each["name"], tuple(read_step(step) for step in each["steps"])) for each in data["goals"]),
        read_control(data["repeat"]),
        read_step(data["login"]),
        data["poll"],
        read_link(data["help"]),
        data["touch"],
        read_step(data["rows"]) if data["rows"] else None,
        data["webview"],
    )


APPS: tuple[App, ...] = tuple(read_app(path) for path in sorted((Path(__file__).parent / "apps").glob("*.json")))
