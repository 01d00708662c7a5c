"""The commands of ``furrow``, one file a group; ``furrow.cli`` puts them together."""
