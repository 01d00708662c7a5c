"""``python -m furrow`` is the command ``furrow``."""

from furrow.cli import main

main()
