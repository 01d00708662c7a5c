"""Connections and credentials that people edit in the Prefect UI. A block that sets something wins over the settings."""

from typing import Final

from prefect.blocks.core import Block

from blocks.stores import EventStoreBlock, IncidentStoreBlock
from blocks.trackers import TRACKER_BLOCKS, tracker_block

ALL: Final[tuple[type[Block], ...]] = (EventStoreBlock, IncidentStoreBlock, *TRACKER_BLOCKS)
"""Every block type of Furrow."""

__all__ = ["ALL", "EventStoreBlock", "IncidentStoreBlock", "tracker_block"]
