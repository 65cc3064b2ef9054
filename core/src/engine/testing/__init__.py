"""Contract suites: for each kind of driver the tests that every one must pass, for our plugins and everybody else's.

Needs pytest (``pip install engine-core[testing]``), a real kernel and, for most suites, root. Start with the class of a
kind: `engine.testing.storage.StorageContract`, …
"""
