"""Who may ask for what: keys, projects, rates."""
