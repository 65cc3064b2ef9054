"""Bytes to JSON strings without loss, many lines at a time: the sink's half of the format.

Output is text only by habit. What is not valid UTF-8 is written as ``\\udc80`` to ``\\udcff``, one lone surrogate for
each byte (Python's "surrogateescape", PEP 383): the line stays valid JSON (RFC 8259, section 8.2), this driver reads
the very bytes back, and other readers show the replacement character there.

Everything is done by a few operations of the interpreter on whole blocks, none of them for each line or character.
Imported by the shim: standard library only. The json module alone would cost more than the rest of the sink.
"""

from __future__ import annotations

_COMMON = ((b"\\", b"\\\\"), (b'"', b'\\"'), (b"\t", b"\\t"), (b"\r", b"\\r"), (b"\x1b", b"\\u001b"))
"""What logs are full of (the last starts a colour); the backslash first. Line ends are the caller's."""
_RARE = bytes(code for code in range(32) if code not in b"\n\t\r\x1b")
_NOT_RARE = bytes(code for code in range(256) if code not in _RARE)


def escaped(data: bytes, line_end: bytes) -> bytes:
    """Return the inside of JSON strings, with ``line_end`` in each line end's place."""
    valid = is_utf8(data)
    if not valid and b"\0" in data:
        return _binary(data, line_end)
    for plain, written in _COMMON:
        data = data.replace(plain, written)
    for code in set(data.translate(None, _NOT_RARE)):
        data = data.replace(bytes((code,)), b"\\u%04x" % code)
    if not valid:
        data = data.decode("utf-8", "surrogateescape").encode("utf-8", "backslashreplace")
    return data.replace(b"\n", line_end)


def is_utf8(data: bytes) -> bool:
    """Return whether the bytes are text."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


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


def _binary(data: bytes, line_end: bytes) -> bytes:
    """Do it byte for byte, which is the fastest where hardly one stays as it is. No character is looked for."""
    table = [b"\\u%04x" % code if code < 0x80 else b"\\udc%02x" % code for code in range(256)]
    table[0x20:0x7F] = [bytes((code,)) for code in range(0x20, 0x7F)]
    for plain, written in (*_COMMON, (b"\n", line_end)):
        table[plain[0]] = written
    return b"".join(map(table.__getitem__, data))
