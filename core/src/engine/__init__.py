"""A container engine made of plugins. The page to read first is ``engine.hookspecs``."""

__version__ = "0.1.0"
