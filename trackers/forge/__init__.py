"""What trackers that are part of a forge have in common: GitHub and GitLab."""
