"""Furrow: finds the moments at which people's brows furrow in a web application and files them as tickets."""

__version__ = "0.1.0"
