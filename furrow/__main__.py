"""``python -m furrow`` is the command ``furrow``."""

from furrow.cli.app import main

main()
