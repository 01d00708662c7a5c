"""Tools for developers: documents that are made from the code. Not part of the wheel."""
