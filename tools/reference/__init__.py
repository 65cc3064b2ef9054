"""The reference in docs/reference, made from the code: commands, settings, hooks and contracts.

`./dev docs --write` writes it; a test compares. A page depends on the code alone: not on the machine, nor on the user,
nor on the version of Python.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
