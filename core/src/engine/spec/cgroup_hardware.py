"""linux.resources.hugepageLimits and rdma as writes (cgroup-v2.rst "HugeTLB" and "RDMA", cgroup-v1/hugetlb.rst)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.errors import Unsupported
from engine.spec.cgroup_limits import UNLIMITED, Limit, count_or_max, size
from engine.spec.cgroup_machine import Machine
from engine.spec.runtime import HugepageLimit, Rdma


def hugetlb(limits: Sequence[HugepageLimit], machine: Machine, version: int, driver: str) -> list[Limit]:
    """Return the writes for pages in use and for pages reserved; runtime-spec means both (config-linux.md).

    Raises `Unsupported` for a page size that this machine does not have.
    """
    found = []
    for row in limits:
        page, limit = row["pageSize"], row["limit"]
        if page not in machine.page_sizes:
            raise Unsupported(
                f"hugepageLimits: this machine has no huge pages of {page}",
                fix=f"It has {', '.join(machine.page_sizes) or 'none'}.",
                plugin=driver,
            )
        text, file = (str(limit), "limit_in_bytes") if version == 1 else (_bytes(limit), "max")
        name, words = f"hugepageLimits.{page}", size(limit)
        found.append(Limit(name, "hugetlb", f"hugetlb.{page}.{file}", text, f"huge pages of {page} {words}"))
        reserved = f"hugetlb.{page}.rsvd.{file}"
        found.append(Limit(name, "hugetlb", reserved, text, f"reservations of huge pages of {page} {words}"))
    return found


def _bytes(limit: int) -> str:
    """Unlike elsewhere 0 is a limit here: no huge page at all."""
    return "max" if limit == UNLIMITED else str(limit)


def rdma(limits: Mapping[str, Rdma]) -> list[Limit]:
    """Return the writes, the same on v1 and v2; what is not given is unlimited."""
    found = []
    for device, row in limits.items():
        handles = count_or_max(row.get("hcaHandles", UNLIMITED))
        objects = count_or_max(row.get("hcaObjects", UNLIMITED))
        text = f"{device} hca_handle={handles} hca_object={objects}"
        meaning = f"{handles} handles and {objects} objects of {device}"
        lifted = f"{device} hca_handle=max hca_object=max"
        found.append(Limit(f"rdma.{device}", "rdma", "rdma.max", text, meaning, device, lifted))
    return found
