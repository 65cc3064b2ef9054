"""Find, choose, load, call and report plugins. Cheap to import: pluggy comes with the first plugin that is loaded.

In the order in which a command uses them: `index` (what is installed), `choose` or `driver` (the driver to work with),
`observers` (tell what happened), `report` (for `engine plugins`).
"""

from engine.plugins.choosing import AUTO, Candidate, Chosen, choose, driver
from engine.plugins.configs import config_for
from engine.plugins.installed import Entry, Index, core_directory, index
from engine.plugins.observing import observers
from engine.plugins.registry import Loaded, find, load
from engine.plugins.reporting import PluginReport, report

__all__ = [
    "AUTO",
    "Candidate",
    "Chosen",
    "Entry",
    "Index",
    "Loaded",
    "PluginReport",
    "choose",
    "config_for",
    "core_directory",
    "driver",
    "find",
    "index",
    "load",
    "observers",
    "report",
]
