"""Alerts: their text, its escaping for each kind of channel, Slack, and everything else by Apprise."""
