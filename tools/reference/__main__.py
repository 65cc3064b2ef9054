"""`python -m tools.reference`: write the reference, and name what changed."""

from __future__ import annotations

import sys

from tools.reference.pages import write

if __name__ == "__main__":
    sys.stdout.write("".join(f"wrote {path}\n" for path in write()) or "the reference is up to date\n")
