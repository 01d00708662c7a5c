"""The endpoints of the collector, one file a group."""
