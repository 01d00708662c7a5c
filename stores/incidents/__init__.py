"""The incident store: Postgres, embedded or a server."""
