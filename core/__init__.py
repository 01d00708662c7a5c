"""What every room stands on: errors, metrics, settings, secrets, logs. Of Furrow it imports the engine alone."""
