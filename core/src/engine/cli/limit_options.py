"""From the flags for limits as typed (`engine.cli.limit_flags`) to fields of `engine.spec.options.RunOptions`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from engine.errors import InvalidInput
from engine.spec import sizes

if TYPE_CHECKING:
    from engine.cli.limit_flags import LimitFlags


def limits_of(flags: LimitFlags) -> dict[str, Any]:
    """Return fields of `engine.spec.options.RunOptions` for the flags that were given. Raises `InvalidInput`.

    None in it stands for no limit: 0 is Docker's word for that, and where it means something, -1.
    """
    found: dict[str, Any] = {}
    for name, text in cast("Mapping[str, Any]", flags).items():
        if text is not None and name in _SINGLE:
            field, nothing, parse = _SINGLE[name]
            found[field] = None if text == nothing else parse(text)
        elif text and name in _DEVICES:
            from engine.spec.devices import parse_rate

            flag, example, number = _DEVICES[name]
            found[name] = tuple(parse_rate(one, flag, example, number) for one in text)
    if flags["cgroup_conf"]:
        found["cgroup_conf"] = _files(flags["cgroup_conf"])
    return found


def _files(texts: list[str]) -> dict[str, str]:
    """Return each file with its value; one that is given several times has a line for each, for several devices."""
    from engine.spec.environment import parse_pairs

    files: dict[str, str] = {}
    for text in texts:
        for name, value in parse_pairs([text], "--cgroup-conf", "memory.high=512m").items():
            if not value:
                raise InvalidInput(f"--cgroup-conf {name} has no value", fix=f"Write for example {name}=max.")
            files[name] = f"{files[name]}\n{value}" if name in files else value
    return files


def _size(flag: str, *, unlimited: bool = False) -> Callable[[str], int]:
    return lambda text: sizes.parse_size(text, flag, unlimited=unlimited)


def _whole(flag: str, example: str) -> Callable[[str], int]:
    return lambda text: sizes.parse_whole(text, flag, example)


def _positive(flag: str, example: str) -> Callable[[str], int]:
    def parse(text: str) -> int:
        number = sizes.parse_whole(text, flag, example)
        if number < 0:
            raise InvalidInput(f"{flag} {text} is negative", fix=f"Write for example {flag} {example}.")
        return number

    return parse


_SINGLE: Mapping[str, tuple[str, str | None, Callable[[str], Any]]] = {
    "memory": ("memory", "0", _size("--memory")),
    "memory_swap": ("memory_swap", "0", _size("--memory-swap", unlimited=True)),
    "memory_reservation": ("memory_reservation", "0", _size("--memory-reservation")),
    "memory_swappiness": ("memory_swappiness", "-1", _whole("--memory-swappiness", "60")),
    "cpus": ("nano_cpus", "0", sizes.parse_cpus),
    "cpu_quota": ("cpu_quota", "0", _whole("--cpu-quota", "50000")),
    "cpu_period": ("cpu_period", "0", _whole("--cpu-period", "100000")),
    "cpu_rt_runtime": ("cpu_rt_runtime", "0", _whole("--cpu-rt-runtime", "100000")),
    "cpu_rt_period": ("cpu_rt_period", "0", _whole("--cpu-rt-period", "1000000")),
    "cpu_shares": ("cpu_shares", "0", _whole("--cpu-shares", "1024")),
    "cpuset_cpus": ("cpuset_cpus", None, sizes.parse_cpuset),
    "cpuset_mems": ("cpuset_mems", None, lambda text: sizes.parse_cpuset(text, "--cpuset-mems")),
    "pids_limit": ("pids_limit", "0", _whole("--pids-limit", "100")),
    "blkio_weight": ("blkio_weight", "0", _whole("--blkio-weight", "300")),
}
"""Each flag's field, the text that means no limit, and the parser."""
_DEVICES: Mapping[str, tuple[str, str, Callable[[str], int]]] = {
    "blkio_weight_device": (
        "--blkio-weight-device", "/dev/sda:300", _positive("--blkio-weight-device", "/dev/sda:300"),
    ),
    "device_read_bps": ("--device-read-bps", "/dev/sda:1mb", _size("--device-read-bps")),
    "device_write_bps": ("--device-write-bps", "/dev/sda:1mb", _size("--device-write-bps")),
    "device_read_iops": ("--device-read-iops", "/dev/sda:1000", _positive("--device-read-iops", "/dev/sda:1000")),
    "device_write_iops": ("--device-write-iops", "/dev/sda:1000", _positive("--device-write-iops", "/dev/sda:1000")),
}  # fmt: skip
"""Each flag with a row for a block device: how it is typed, an example, and the parser of its number."""
