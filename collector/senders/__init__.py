"""The sender of a session: its address behind trusted proxies, hashed into a receipt."""
