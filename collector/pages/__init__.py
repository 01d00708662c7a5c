"""Pages for people: the incident and its sign-in. Rendered on the server, without scripts and external resources."""
