"""Who sent a session: its address behind trusted proxies, hashed into a receipt of its own."""
