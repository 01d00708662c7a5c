"""One installation: started, watched over, registered with Prefect, backed up, demonstrated."""
