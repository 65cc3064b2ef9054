"""From the flags of `engine run` as typed to `engine.spec.options.RunOptions`. Reads the files that flags name."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from engine.cli.limit_options import limits_of
from engine.spec import environment, isolation, security, sizes
from engine.spec.devices import parse_cgroup_rule, parse_device
from engine.spec.options import PULL_ALWAYS, PULL_MISSING, PULL_NEVER, HealthOptions, RunOptions, check
from engine.spec.refusal import refusal
from engine.spec.restart_policy import parse_restart
from engine.spec.ulimits import parse_ulimit
from engine.spec.users import parse_group, parse_user
from engine.spec.volumes import MountRequest, parse_mount, parse_tmpfs, parse_volume, split_inherited

if TYPE_CHECKING:
    from engine.cli.run_flags import RunFlags
    from engine.contracts.common import IdMapping

_T = TypeVar("_T")


def options_of(
    image: str, command: Sequence[str], flags: RunFlags, surrounding: Mapping[str, str] = os.environ
) -> RunOptions:
    """Return the options. ``surrounding``: the variables that ``-e KEY`` passes on. Raises `InvalidInput`."""
    options = RunOptions(
        image=image,
        command=tuple(command),
        name=flags["name"] or "",
        detach=flags["detach"],
        interactive=flags["interactive"],
        tty=flags["tty"],
        rm=flags["rm"],
        restart=parse_restart(flags["restart"] or "no"),
        env=environment.variables(flags["env"] or (), flags["env_file"] or (), surrounding),
        host_env=environment.passed_on(surrounding) if flags["env_host"] else (),
        workdir=flags["workdir"] or "",
        user=parse_user(flags["user"]) if flags["user"] is not None else "",
        groups=tuple(map(parse_group, flags["group_add"] or ())),
        mounts=_mounts(flags),
        volumes_from=_inherited(flags["volumes_from"] or ()),
        hostname=_name("--hostname", flags["hostname"]),
        domainname=_name("--domainname", flags["domainname"]),
        oom_kill_disable=flags["oom_kill_disable"],
        device_cgroup_rules=tuple(map(_rule, flags["device_cgroup_rule"] or ())),
        devices=tuple(map(parse_device, flags["device"] or ())),
        ulimits=tuple(map(parse_ulimit, flags["ulimit"] or ())),
        read_only=flags["read_only"],
        cap_add=tuple(security.parse_capability(text, "--cap-add") for text in flags["cap_add"] or ()),
        cap_drop=tuple(security.parse_capability(text, "--cap-drop") for text in flags["cap_drop"] or ()),
        privileged=flags["privileged"],
        security=security.parse_security(flags["security_opt"] or ()),
        entrypoint=_entrypoint(flags["entrypoint"]),
        init=flags["init"],
        stop_signal=_maybe(flags["stop_signal"], _signal),
        stop_timeout=_maybe(flags["stop_timeout"], lambda text: sizes.parse_whole(text, "--stop-timeout", "10")),
        timeout=_maybe(flags["timeout"], lambda text: sizes.parse_duration(text, "--timeout")),
        network=flags["network"] or "",
        pid=flags["pid"] or "",
        ipc=flags["ipc"] or "",
        uts=flags["uts"] or "",
        cgroupns=flags["cgroupns"] or "",
        userns=flags["userns"] or "",
        uidmap=_id_map(flags["uidmap"], "--uidmap"),
        gidmap=_id_map(flags["gidmap"], "--gidmap"),
        namespaces=isolation.parse_namespaces(flags["namespace"] or ()),
        labels=environment.labels(flags["label"] or (), flags["label_file"] or ()),
        annotations=environment.parse_pairs(flags["annotation"] or (), "--annotation", "org.example.team=storage"),
        oom_score_adj=_maybe(flags["oom_score_adj"], lambda text: sizes.parse_whole(text, "--oom-score-adj", "500")),
        sysctls=environment.parse_pairs(flags["sysctl"] or (), "--sysctl", "net.core.somaxconn=1024"),
        shm_size=_limit(flags["shm_size"], lambda text: sizes.parse_size(text, "--shm-size")),
        pull=_maybe(flags["pull"], _pull) or PULL_MISSING,
        platform=_maybe(flags["platform"], _platform) or "",
        storage=flags["storage"] or "",
        cgroup_driver=flags["cgroup_driver"] or "",
        cgroup_parent=flags["cgroup_parent"] or "",
        runtime=flags["runtime"] or "",
        log_driver=flags["log_driver"] or "",
        health=_health(flags),
        log_opts=environment.parse_pairs(flags["log_opt"] or (), "--log-opt", "max-size=10m"),
        **_names_of_others(flags),
        **limits_of(flags),
    )
    check(options)
    return options


def _health(flags: RunFlags) -> HealthOptions:
    def seconds(flag: str, text: str | None) -> float | None:
        return _maybe(text, lambda text: sizes.parse_duration(text, flag))

    return HealthOptions(
        command=flags["health_cmd"],
        interval=seconds("--health-interval", flags["health_interval"]),
        timeout=seconds("--health-timeout", flags["health_timeout"]),
        retries=_maybe(flags["health_retries"], lambda text: sizes.parse_whole(text, "--health-retries", "3")),
        start_period=seconds("--health-start-period", flags["health_start_period"]),
        start_interval=seconds("--health-start-interval", flags["health_start_interval"]),
        none=flags["no_healthcheck"],
    )


def _id_map(texts: list[str] | None, flag: str) -> tuple[IdMapping, ...]:
    if not texts:
        return ()
    from engine.spec.idmaps import parse_rows  # for these flags alone

    return parse_rows(texts, flag)


def _maybe(text: str | None, parse: Callable[[str], _T]) -> _T | None:
    return None if text is None else parse(text)


def _limit(text: str | None, parse: Callable[[str], _T]) -> _T | None:
    """Return a limit; 0 is Docker's word for none."""
    return None if text == "0" else _maybe(text, parse)


def _signal(text: str) -> int:
    from engine.spec.stop_signals import signal_number  # few name one

    return signal_number(text, "--stop-signal")


def _rule(text: str) -> str:
    """Return a rule as it was typed, once it is known to be one."""
    parse_cgroup_rule(text)
    return text


def _mounts(flags: RunFlags) -> tuple[MountRequest, ...]:
    return (
        *map(parse_volume, flags["volume"] or ()),
        *map(parse_mount, flags["mount"] or ()),
        *map(parse_tmpfs, flags["tmpfs"] or ()),
    )


def _inherited(texts: Sequence[str]) -> tuple[str, ...]:
    for text in texts:
        split_inherited(text)
    return tuple(texts)


def _names_of_others(flags: RunFlags) -> dict[str, Any]:
    """Return what the flags say of finding others by name; most containers go without."""
    if not (flags["add_host"] or flags["dns"] or flags["dns_search"] or flags["dns_option"]):
        return {}
    from engine.spec import name_service

    return {
        "hosts": tuple(map(name_service.parse_host, flags["add_host"] or ())),
        "dns": tuple(map(name_service.parse_server, flags["dns"] or ())),
        "dns_search": tuple(map(name_service.parse_search, flags["dns_search"] or ())),
        "dns_options": tuple(map(name_service.parse_option, flags["dns_option"] or ())),
    }


def _entrypoint(text: str | None) -> tuple[str, ...] | None:
    """Return the entrypoint: one word, never split; an empty one clears the image's."""
    if text is None:
        return None
    return (text,) if text else ()


def _pull(text: str) -> str:
    if text not in {PULL_ALWAYS, PULL_MISSING, PULL_NEVER}:
        raise refusal("--pull", text, f"is none of {PULL_ALWAYS}, {PULL_MISSING}, {PULL_NEVER}", PULL_ALWAYS)
    return text


def _platform(text: str) -> str:
    from engine.spec.descriptor import parse_platform

    return str(parse_platform(text))


def _name(flag: str, text: str | None) -> str:
    if text is None:
        return ""
    labels = text.split(".")
    good = all(label and label.replace("-", "").isalnum() and label.isascii() for label in labels)
    if not good or len(text) > 64 or text.startswith("-"):
        raise refusal(flag, text, "is not a name of at most 64 letters, digits, '-' and '.'", "web-1")
    return text
