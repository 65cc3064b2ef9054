"""``./dev bench``: run /bin/true in a fresh busybox container, by this engine and by others, and compare."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
from pathlib import Path

from tests.bench import measuring
from tests.bench.peers import PEERS, Engine, Peer, PeerError
from tests.machine import marks, snapshot
from tests.testbed import rootfs, systemd_machine

LIMITS = {"docker": 1.0, "podman": 1.0}
"""The ratio of this engine's median to a peer's that must not be passed."""


def main() -> int:
    """Compare; return 1 when a limit is passed, 2 when something that was required cannot run."""
    options = arguments()
    work = Path("/var/tmp", marks.of_run())
    work.mkdir()
    try:
        figures = compare(work, options.require, options.rounds)
    except PeerError as error:
        sys.stderr.write(f"bench: {error}\n")
        return 2
    finally:
        remove_cgroups(work.name)
        shutil.rmtree(work)
        shutil.rmtree(marks.cache(), ignore_errors=True)
    sys.stdout.write(report(figures) if options.json else measuring.table(figures) + "\n")
    passed = [one.name for one in figures if figures[0].median > LIMITS.get(one.name, float("inf")) * one.median]
    for name in passed:
        sys.stderr.write(f"bench: engine is past {LIMITS[name]} of {name}\n")
    return 1 if passed else 0


def remove_cgroups(name: str) -> None:
    """Remove what the engines left of the cgroups below which they were told to work."""
    for hierarchy in snapshot.cgroup_hierarchies():
        for group in Path(hierarchy).glob(f"{name}-*"):
            systemd_machine.remove_cgroups(group)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--require", default="", help="peers that must run, e.g. docker,podman,runc", type=names)
    parser.add_argument("--rounds", default=20, type=int, help="counted runs of each (20)")
    parser.add_argument("--json", action="store_true", help="print every figure as JSON")
    return parser.parse_args()


def names(text: str) -> list[str]:
    """Return the peers' names in a list separated by commas. Raises ArgumentTypeError."""
    known = [peer.name for peer in PEERS]
    wanted = [name for name in text.split(",") if name]
    for name in wanted:
        if name not in known:
            raise argparse.ArgumentTypeError(f"there is no peer '{name}'; there are {', '.join(known)}")
    return wanted


def compare(work: Path, required: list[str], rounds: int) -> list[measuring.Figures]:
    """Make everyone ready, measure, and stop everyone again. Without a requirement, whoever can run takes part."""
    tar = work / "busybox.tar"
    rootfs.busybox_tar(tar)
    ready: list[Peer] = []
    with contextlib.ExitStack() as stack:
        for peer in (Engine(work), *(kind(work) for kind in PEERS if not required or kind.name in required)):
            stack.callback(peer.stop)
            try:
                peer.prepare(tar)
                measuring.run_once(peer, -1)
            except PeerError as error:
                if required or peer.name == Engine.name:
                    raise
                sys.stderr.write(f"bench: without {error}\n")
            else:
                ready.append(peer)
        return measuring.alternate(ready, rounds)


def report(figures: list[measuring.Figures]) -> str:
    """Return the figures as JSON: for each engine its version, times and median in milliseconds, and ratio."""
    own = figures[0].median
    data = {
        one.name: {"version": one.version, "median": one.median, "ratio": own / one.median, "times": one.times}
        for one in figures
    }
    return json.dumps({"processors": os.cpu_count(), "engines": data}, indent=2) + "\n"


if __name__ == "__main__":
    sys.exit(main())
