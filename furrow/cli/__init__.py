"""The command ``furrow``, one file a group of commands."""
