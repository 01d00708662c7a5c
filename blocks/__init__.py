"""Connections and credentials that people edit in the Prefect UI. A block that sets something wins over the settings."""

from blocks.stores import EventStoreBlock, IncidentStoreBlock
from blocks.trackers import JiraBlock, LinearBlock

ALL = (EventStoreBlock, IncidentStoreBlock, JiraBlock, LinearBlock)

__all__ = ["ALL", "EventStoreBlock", "IncidentStoreBlock", "JiraBlock", "LinearBlock"]
