"""Generator of labelled browser sessions: people with goals and patience on simulated applications."""
