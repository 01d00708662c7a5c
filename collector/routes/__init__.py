"""The routes of the collector. Each module declares a group of routes; ``registry`` lists the groups."""
