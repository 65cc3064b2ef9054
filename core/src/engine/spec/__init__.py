"""The OCI specifications as types, and the builder of config.json."""
