"""The flags for limits that can be changed while a container runs: `engine run`, `create` and `update` share them.

Names as in docker-run(1); `--cgroup-conf` is podman's.
"""

from typing import Annotated, TypedDict

from typer import Option

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
