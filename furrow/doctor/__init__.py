"""``furrow doctor``: checks an installation and gives advice."""
