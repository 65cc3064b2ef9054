"""The lines of /etc/hosts and /etc/resolv.conf."""

from __future__ import annotations

import pytest

from engine.spec.name_service import host_lines, resolvers

BASE = (
    b"# by hand\nnameserver 192.0.2.1\ndomain example.org\n\nsearch example.org\noptions  rotate\nsortlist 10.0.0.0\n"
)


def test_hosts() -> None:
    assert host_lines(["a:192.0.2.1", "b:2001:db8::1"]) == b"192.0.2.1\ta\n2001:db8::1\tb\n"
    assert host_lines([]) == b""


@pytest.mark.parametrize(
    ("given", "gone", "added"),
    [
        (((), (), ()), [], b""),
        ((("192.0.2.2", "::1"), (), ()), [b"nameserver"], b"nameserver 192.0.2.2\nnameserver ::1\n"),
        (((), ("a", "b"), ()), [b"domain", b"search"], b"search a b\n"),
        (((), (".",), ()), [b"domain", b"search"], b""),
        (((), (), ("ndots:2", "rotate")), [b"options"], b"options ndots:2 rotate\n"),
    ],
)
def test_resolvers(given: tuple[tuple[str, ...], ...], gone: list[bytes], added: bytes) -> None:
    kept = b"".join(line for line in BASE.splitlines(keepends=True) if line.split(b" ")[0] not in gone)
    assert resolvers(BASE, *given) == kept + added
