"""Contract suites: for each kind of driver the tests that every one must pass, for our plugins and everybody else's.

Needs pytest (``pip install engine-core[testing]``), a real kernel and, for most suites, root. Start with the class of a
kind: `engine.testing.storage.StorageContract`, …
"""

import pkgutil

import pytest

# Before one of them is imported: a failed assertion shows the values in it, as in a test module.
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)))
