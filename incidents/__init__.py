"""What an incident is: its values and its life, as pure functions without a database."""
