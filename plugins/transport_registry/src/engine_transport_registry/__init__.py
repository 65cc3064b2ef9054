"""The image transport ``registry``: pull and push by the OCI distribution specification."""
