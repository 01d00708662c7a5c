"""The block types of trackers, made from the declarations in `core.tracker_kinds`."""

import types
from typing import Any, ClassVar, Final, Literal

from prefect.blocks.core import Block
from pydantic import Field

from core.settings import Settings
from core.tracker_kinds import TRACKER_KINDS, BlockField, TrackerKind

TrackerMode = Literal["settings", "server", "log"]
_MODE_HELP = (
    "settings: FURROW_* decides. server: the fields below. "
    "log: tickets are logged as they would be filed, and wait until this tracker is configured."
)


class TrackerBlock(Block):
    """What the blocks of all trackers have in common; not a block type of its own."""

    kind_of_tracker: ClassVar[TrackerKind]

    mode: TrackerMode = Field("settings", description=_MODE_HELP)

    def apply_to_settings(self, settings: Settings) -> Settings:
        """``settings``, with the tracker's settings replaced by the fields of this block unless its mode is ``settings``."""
        if self.mode == "settings":
            return settings
        kind = self.kind_of_tracker
        update = {field.setting: getattr(self, field.name) for field in kind.block_fields}
        if self.mode == "log":
            update |= kind.without_switch()
        return settings.model_copy(update=update)


def make_tracker_block(kind: TrackerKind) -> type[TrackerBlock]:
    """The block type of a tracker: the mode, and a field for each entry of ``kind.block_fields``."""
    annotations: dict[str, object] = {}
    namespace: dict[str, object] = {
        "__module__": __name__,
        "__doc__": kind.block_description,
        "__annotations__": annotations,
        "_block_type_name": f"Furrow {kind.title}",
        "_block_type_slug": kind.block_slug,
        "_description": kind.block_description,
        "kind_of_tracker": kind,
    }
    for name in ("_block_type_name", "_block_type_slug", "_description"):
        annotations[name] = ClassVar[str]
    annotations["kind_of_tracker"] = ClassVar[TrackerKind]
    for field in kind.block_fields:
        annotations[field.name], namespace[field.name] = _make_block_field(kind, field)
    block = types.new_class(f"{kind.title}Block", (TrackerBlock,), exec_body=lambda body: body.update(namespace))
    assert issubclass(block, TrackerBlock)
    return block


def _make_block_field(kind: TrackerKind, field: BlockField) -> tuple[Any, object]:
    """Type and declaration of a block's field."""
    setting = kind.settings.model_fields[field.setting]
    return setting.annotation, Field(setting.get_default(), title=field.title, description=field.description)


TRACKER_BLOCKS: Final = tuple(make_tracker_block(kind) for kind in TRACKER_KINDS)
"""The block type of each tracker."""


def tracker_block(name: str) -> type[TrackerBlock]:
    """The block type of the tracker ``name``. Raises KeyError when there is no such tracker."""
    return {block.kind_of_tracker.name: block for block in TRACKER_BLOCKS}[name]
