"""HTTP as it arrives: connections, framing, bodies, and the limits that bound what a stranger can cost."""
