"""Pages for people: the incident, and the sign-in before it. Server-rendered, without scripts, nothing from elsewhere."""
