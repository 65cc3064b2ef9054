"""Checks of the flags for names: what a container finds in /etc/hosts and /etc/resolv.conf, and how it resolves."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.box import refused
from tests.e2e.scene import Scene

OWN = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n127.0.1.1\t"
"""What /etc/hosts begins with in a network of the container's own."""


def add_host(scene: Scene) -> None:
    """The resolver of the C library takes the addresses for the names; with the host's network below its own names."""
    assert scene.run("cat /etc/hosts", "-h", "box").endswith(
        "127.0.1.1\tbox\n192.0.2.7\tdb.example\n2001:db8::7\tsix\n"
    )
    machine = Path("/etc/hosts").read_text()
    added = "192.0.2.7\tdb.example\n2001:db8::7\tsix\n"
    assert scene.run("cat /etc/hosts", "--network", "host") == machine.rstrip("\n") + "\n" + added
    assert scene.bare("cat /etc/hosts", "--network", "host") == machine
    assert scene.bare("cat /etc/hosts", "-h", "box") == f"{OWN}box\n"


def shared_names(scene: Scene) -> None:
    """With another container's network, names are found as there, whatever that one wrote; and it stays so there."""
    box = scene.box
    with box.container(*scene.typed, "-h", "other") as other:
        other.sh("echo 192.0.2.9 later >>/etc/hosts; echo nameserver 192.0.2.53 >/etc/resolv.conf")
        joined = ("--network", f"container:{other.name}")
        shown = scene.bare("cat /etc/hosts; cat /etc/resolv.conf", *joined, "-h", "mine")
        assert "192.0.2.7\tdb.example\n" in shown
        assert shown.endswith("192.0.2.9 later\n127.0.1.1\tmine\nnameserver 192.0.2.53\n")
        refused(box("run", "--rm", *joined, *scene.typed, box.image, "true"), "--add-host")
        assert "mine" not in other.sh("cat /etc/hosts")
        other.sh("head -c 9000000 /dev/zero >/etc/hosts")
        refused(box("run", "--rm", *joined, box.image, "true"), "/etc/hosts")


def dns(scene: Scene) -> None:
    """It takes the place of the host's servers alone, also with the host's network."""
    others = [line for line in _resolvers() if line.split()[:1] != ["nameserver"]]
    for network in ("none", "host"):
        shown = scene.run("cat /etc/resolv.conf", "--network", network).splitlines()
        assert shown == [*others, "nameserver 192.0.2.53", "nameserver 2001:db8::53"]
    assert scene.bare("cat /etc/resolv.conf").splitlines() == _resolvers()


def dns_search(scene: Scene) -> None:
    shown = scene.run("cat /etc/resolv.conf").splitlines()
    assert shown[-1] == "search example.org example.net"
    assert [line for line in shown if line.startswith(("search", "domain"))] == shown[-1:]
    none = scene.bare("cat /etc/resolv.conf", "--dns-search", ".").splitlines()
    assert not [line for line in none if line.startswith(("search", "domain"))]
    assert [line for line in none if line.startswith("nameserver")] == [
        line for line in _resolvers() if line.startswith("nameserver")
    ]


def dns_option(scene: Scene) -> None:
    shown = scene.run("cat /etc/resolv.conf").splitlines()
    assert [line for line in shown if line.startswith("options")] == ["options ndots:2 rotate"]


def _resolvers() -> list[str]:
    try:
        return Path("/etc/resolv.conf").read_text().splitlines()
    except OSError:
        return []
