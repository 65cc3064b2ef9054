"""Log drivers of engine: ``json-file``, one JSON object a line, and ``none``."""
