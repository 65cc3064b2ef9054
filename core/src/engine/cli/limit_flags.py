"""The flags for limits that can be changed while a container runs: `engine run`, `create` and `update` share them.

Names as in docker-run(1); `--cgroup-conf` is podman's.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypedDict, cast

from typer import Option

from engine.errors import InvalidInput
from engine.spec import sizes

Text = str | None
Texts = list[str] | None


class LimitFlags(TypedDict):
    """One key for each flag; None stands for a flag that was not given."""

    memory: Annotated[Text, Option("--memory", "-m", metavar="SIZE", help="Limit memory, as in 512m")]
    memory_swap: Annotated[Text, Option("--memory-swap", metavar="SIZE", help="Limit memory and swap; -1: no limit")]
    memory_reservation: Annotated[
        Text, Option("--memory-reservation", metavar="SIZE", help="Leave it so much when memory is short")
    ]
    memory_swappiness: Annotated[
        Text, Option("--memory-swappiness", metavar="N", help="Readiness to swap it, 0 to 100 (cgroup v1)")
    ]
    cpus: Annotated[Text, Option("--cpus", metavar="N", help="Limit processor time, as in 1.5 processors")]
    cpu_quota: Annotated[Text, Option("--cpu-quota", metavar="MICROSECONDS", help="Processor time in each period")]
    cpu_period: Annotated[Text, Option("--cpu-period", metavar="MICROSECONDS", help="Length of a period (100000)")]
    cpu_rt_runtime: Annotated[
        Text, Option("--cpu-rt-runtime", metavar="MICROSECONDS", help="Realtime in each period (cgroup v1)")
    ]
    cpu_rt_period: Annotated[
        Text, Option("--cpu-rt-period", metavar="MICROSECONDS", help="Length of a realtime period (1000000)")
    ]
    cpu_shares: Annotated[Text, Option("--cpu-shares", "-c", metavar="N", help="Weight under contention (1024)")]
    cpuset_cpus: Annotated[Text, Option("--cpuset-cpus", metavar="LIST", help="Run on these processors, as in 0-2,5")]
    cpuset_mems: Annotated[Text, Option("--cpuset-mems", metavar="LIST", help="Use memory of these nodes")]
    pids_limit: Annotated[Text, Option("--pids-limit", metavar="N", help="Limit the number of processes; -1: no limit")]
    blkio_weight: Annotated[
        Text, Option("--blkio-weight", metavar="N", help="Weight among those who use a disk, 10 to 1000")
    ]
    blkio_weight_device: Annotated[
        Texts, Option("--blkio-weight-device", metavar="PATH:N", help="The same for one disk")
    ]
    device_read_bps: Annotated[
        Texts, Option("--device-read-bps", metavar="PATH:RATE", help="Limit bytes read a second, as in /dev/sda:1mb")
    ]
    device_write_bps: Annotated[
        Texts, Option("--device-write-bps", metavar="PATH:RATE", help="Limit bytes written a second")
    ]
    device_read_iops: Annotated[Texts, Option("--device-read-iops", metavar="PATH:N", help="Limit reads a second")]
    device_write_iops: Annotated[Texts, Option("--device-write-iops", metavar="PATH:N", help="Limit writes a second")]
    cgroup_conf: Annotated[
        Texts, Option("--cgroup-conf", metavar="FILE=VALUE", help="Write any file of cgroup v2, as in memory.high=1g")
    ]


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
