"""Conformance: what different drivers of a kind make of the same specification."""
