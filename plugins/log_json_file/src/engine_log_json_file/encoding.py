"""Bytes to JSON strings without loss, in a few string operations: the sink's half of the format.

Output is text only by habit. What is not valid UTF-8 is written as ``\\udc80`` to ``\\udcff``, one lone surrogate for
each byte (Python's "surrogateescape", PEP 383): the line stays valid JSON (RFC 8259, section 8.2), this driver reads
the very bytes back, and other readers show the replacement character there.

Imported by the shim: standard library only. The json module alone would cost more than the rest of the sink.
"""

from __future__ import annotations

_COMMON = (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\t", "\\t"), ("\r", "\\r"), ("\x1b", "\\u001b"))
"""What logs are full of (the last starts a colour); the backslash first."""
_RARE = bytes(code for code in range(32) if chr(code) not in "\n\t\r\x1b")
_RARE_TABLE = {code: f"\\u{code:04x}" for code in _RARE}


def text(data: bytes) -> str:
    """Return the bytes as a string: invalid ones as lone surrogates."""
    return data.decode("utf-8", "surrogateescape")


def quoted(piece: str, *, rare: bool) -> bytes:
    """Return the inside of a JSON string. ``rare`` is `has_rare` of where the piece came from."""
    for plain, escaped in _COMMON:
        piece = piece.replace(plain, escaped)
    if rare:
        piece = piece.translate(_RARE_TABLE)
    return piece.encode("utf-8", "backslashreplace")


def has_rare(data: bytes) -> bool:
    """Return whether there are control characters that logs seldom have."""
    return len(data.translate(None, _RARE)) != len(data)


def unfinished(data: bytes) -> int:
    """Return how many bytes at the end (0 to 3) begin a UTF-8 character whose rest is yet to come."""
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if 0xC2 <= byte <= 0xF4:
            expected = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return back if back < expected else 0
        if not 0x80 <= byte < 0xC0:
            return 0
    return 0
