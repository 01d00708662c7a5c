"""The event store: ClickHouse, embedded (chDB) or a server."""
