"""The flags of `engine run` and `engine create`: their names, as in docker-run(1), and the line that help shows.

What a flag's text means is parsed by `engine.cli.run_options` and, for limits, by `engine.cli.limit_options`. One
declaration serves both commands: `takes_flags` puts these flags into the signature that typer reads.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, TypedDict, TypeVar

from typer import Option
from typer.core import TyperCommand

from engine.cli.limit_flags import LimitFlags, Text, Texts


class _Process(TypedDict):
    detach: Annotated[bool, Option("--detach", "-d", help="Leave it running and print its ID")]
    interactive: Annotated[bool, Option("--interactive", "-i", help="Give the command the standard input")]
    tty: Annotated[bool, Option("--tty", "-t", help="Give the command a terminal")]
    detach_keys: Annotated[Text, Option("--detach-keys", metavar="KEYS", help="Keys that detach (ctrl-p,ctrl-q)")]
    rm: Annotated[bool, Option("--rm", help="Remove the container when it has ended")]
    name: Annotated[Text, Option("--name", metavar="NAME", help="Name the container (two random words)")]
    # The process
    env: Annotated[Texts, Option("--env", "-e", metavar="KEY[=VALUE]", help="Set a variable, or pass one on")]
    env_file: Annotated[Texts, Option("--env-file", metavar="FILE", help="Read variables from a file")]
    env_host: Annotated[bool, Option("--env-host", help="Pass every variable on; the image's and --env count more")]
    workdir: Annotated[Text, Option("--workdir", "-w", metavar="DIR", help="Run in this directory")]
    user: Annotated[Text, Option("--user", "-u", metavar="USER[:GROUP]", help="Run as this user, by name or number")]
    group_add: Annotated[Texts, Option("--group-add", metavar="GROUP", help="One more group, by name or number")]
    entrypoint: Annotated[Text, Option("--entrypoint", metavar="COMMAND", help="Run instead of the image's entrypoint")]
    init: Annotated[bool, Option("--init", help="Run a small init that reaps processes and passes signals on")]
    ulimit: Annotated[Texts, Option("--ulimit", metavar="NAME=SOFT[:HARD]", help="Limit a resource of each process")]
    oom_score_adj: Annotated[Text, Option("--oom-score-adj", metavar="N", help="Readiness to be killed, -1000 to 1000")]
    # Its end
    restart: Annotated[Text, Option("--restart", metavar="POLICY", help="no, on-failure[:N], always, unless-stopped")]
    stop_signal: Annotated[Text, Option("--stop-signal", metavar="SIGNAL", help="Signal that asks it to end")]
    stop_timeout: Annotated[Text, Option("--stop-timeout", metavar="SECONDS", help="Wait before killing it (10)")]
    timeout: Annotated[Text, Option("--timeout", metavar="TIME", help="Stop it after so long, as in 90s or 2h")]
    # Its health
    health_cmd: Annotated[Text, Option("--health-cmd", metavar="COMMAND", help="Check with this shell command")]
    health_interval: Annotated[Text, Option("--health-interval", metavar="TIME", help="Time between two checks (30s)")]
    health_timeout: Annotated[Text, Option("--health-timeout", metavar="TIME", help="Time a check may take (30s)")]
    health_retries: Annotated[Text, Option("--health-retries", metavar="N", help="Failures that make it unhealthy (3)")]
    health_start_period: Annotated[
        Text, Option("--health-start-period", metavar="TIME", help="Time at first when no failure counts (0s)")
    ]
    health_start_interval: Annotated[
        Text, Option("--health-start-interval", metavar="TIME", help="Time between two checks then (5s)")
    ]
    no_healthcheck: Annotated[bool, Option("--no-healthcheck", help="Make no checks, whatever the image says")]
    # Files
    volume: Annotated[Texts, Option("--volume", "-v", metavar="DIR:TARGET[:ro]", help="Mount a directory of the host")]
    mount: Annotated[Texts, Option("--mount", metavar="KEY=VALUE,...", help="Mount type=bind or type=tmpfs")]
    tmpfs: Annotated[Texts, Option("--tmpfs", metavar="TARGET[:OPTIONS]", help="Mount an empty directory in memory")]
    volumes_from: Annotated[
        Texts, Option("--volumes-from", metavar="CONTAINER[:ro]", help="Mount what another has mounted from the host")
    ]
    read_only: Annotated[bool, Option("--read-only", help="Make the root filesystem read-only")]
    shm_size: Annotated[Text, Option("--shm-size", metavar="SIZE", help="Size of /dev/shm (64m)")]
    device: Annotated[Texts, Option("--device", metavar="PATH[:TARGET][:rwm]", help="Allow a device of the host")]
    device_cgroup_rule: Annotated[
        Texts, Option("--device-cgroup-rule", metavar="RULE", help="Allow devices by numbers, as in 'c 1:3 rwm'")
    ]
    oom_kill_disable: Annotated[
        bool, Option("--oom-kill-disable", help="Let it wait when its memory is used up (cgroup v1)")
    ]


class _Isolation(TypedDict):
    # Isolation
    network: Annotated[Text, Option("--network", "--net", metavar="MODE", help="none, host, container:NAME")]
    pid: Annotated[Text, Option("--pid", metavar="MODE", help="private, host, container:NAME")]
    ipc: Annotated[Text, Option("--ipc", metavar="MODE", help="private, host, container:NAME")]
    uts: Annotated[Text, Option("--uts", metavar="MODE", help="private, host, container:NAME")]
    cgroupns: Annotated[Text, Option("--cgroupns", metavar="MODE", help="private, host, container:NAME")]
    userns: Annotated[Text, Option("--userns", metavar="MODE", help="host, private, map:ROW,..., container:NAME")]
    uidmap: Annotated[Texts, Option("--uidmap", metavar="ROW", help="Map users by CONTAINER:HOST:SIZE")]
    gidmap: Annotated[Texts, Option("--gidmap", metavar="ROW", help="Map groups by CONTAINER:HOST:SIZE")]
    namespace: Annotated[
        Texts, Option("--namespace", metavar="KIND=WISH", help="Any kind of namespace: new, host, container:NAME, PATH")
    ]
    hostname: Annotated[Text, Option("--hostname", "-h", metavar="NAME", help="Host name inside (the ID's beginning)")]
    domainname: Annotated[Text, Option("--domainname", metavar="NAME", help="NIS domain name inside (none)")]
    add_host: Annotated[Texts, Option("--add-host", metavar="NAME:ADDRESS", help="Add a line to /etc/hosts")]
    dns: Annotated[Texts, Option("--dns", metavar="ADDRESS", help="Ask this name server (the host's)")]
    dns_search: Annotated[Texts, Option("--dns-search", metavar="DOMAIN", help="Complete names with it; .: with none")]
    dns_option: Annotated[
        Texts, Option("--dns-option", "--dns-opt", metavar="OPTION", help="Option of the resolver, as in ndots:2")
    ]
    sysctl: Annotated[Texts, Option("--sysctl", metavar="KEY=VALUE", help="Set a parameter of its own namespaces")]
    # Privileges
    cap_add: Annotated[Texts, Option("--cap-add", metavar="CAPABILITY", help="Grant a capability, or ALL")]
    cap_drop: Annotated[Texts, Option("--cap-drop", metavar="CAPABILITY", help="Take a capability away, or ALL")]
    privileged: Annotated[bool, Option("--privileged", help="Give it every privilege and device of the host")]
    security_opt: Annotated[
        Texts,
        Option("--security-opt", metavar="OPTION", help="no-new-privileges, seccomp=FILE|unconfined, ..."),
    ]
    # The image
    pull: Annotated[Text, Option("--pull", metavar="WHEN", help="Pull the image always, never, or when missing")]
    platform: Annotated[Text, Option("--platform", metavar="OS/ARCH[/VARIANT]", help="Of several, the image for this")]
    # The engine's
    label: Annotated[Texts, Option("--label", "-l", metavar="KEY[=VALUE]", help="Label the container")]
    label_file: Annotated[Texts, Option("--label-file", metavar="FILE", help="Read labels from a file")]
    annotation: Annotated[Texts, Option("--annotation", metavar="KEY=VALUE", help="Annotate its OCI specification")]
    cidfile: Annotated[Text, Option("--cidfile", metavar="FILE", help="Write its ID to a file that does not exist yet")]
    storage: Annotated[Text, Option("--storage", metavar="DRIVER", help="Storage driver")]
    cgroup_driver: Annotated[Text, Option("--cgroup-driver", metavar="DRIVER", help="Cgroup driver")]
    cgroup_parent: Annotated[Text, Option("--cgroup-parent", metavar="PATH", help="Cgroup or slice to be in")]
    runtime: Annotated[Text, Option("--runtime", metavar="RUNTIME", help="Runtime")]
    log_driver: Annotated[Text, Option("--log-driver", metavar="DRIVER", help="Log driver")]
    log_opt: Annotated[Texts, Option("--log-opt", metavar="KEY=VALUE", help="Option of the log driver")]


class RunFlags(_Process, LimitFlags, _Isolation):
    """One key for each flag, with what typer has to know; None stands for a flag that was not given."""


SECTIONS: Mapping[str, str] = {
    "detach": "How it is run",
    "env": "The process",
    "stop_signal": "Its end",
    "health_cmd": "Its health",
    "volume": "Files",
    "oom_kill_disable": "Limits",
    "network": "Isolation",
    "cap_add": "Privileges",
    "label": "The engine's",
}
"""The flag with which each section of the help begins."""


class SectionedCommand(TyperCommand):
    """A command whose help has `SECTIONS`: nobody reads a list of a hundred flags."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, and the flags of each section."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for title, param in self.sectioned(self.get_params(ctx)):
            record = param.get_help_record(ctx)
            if record is not None:
                sections.setdefault(title, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)

    def sectioned(self, params: Iterable[Any]) -> Iterator[tuple[str, Any]]:
        """Yield each of these parameters with the title of its section."""
        title = "Options"
        for param in params:
            title = SECTIONS.get(param.name or "", title)
            if param.param_type_name == "argument":
                yield "Arguments", param
            else:
                yield "Options" if param.name == "help" else title, param


_F = TypeVar("_F", bound=Callable[..., Any])


def takes_flags(kind: Any = RunFlags) -> Callable[[_F], _F]:
    """Give a command function that ends in ``**flags: Unpack[…]`` the signature with every flag of ``kind`` by name."""

    def give(function: _F) -> _F:
        own = [one for one in inspect.signature(function).parameters.values() if one.kind is not one.VAR_KEYWORD]
        flags = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=_default(annotation), annotation=annotation)
            for name, annotation in kind.__annotations__.items()
        ]
        setattr(function, "__signature__", inspect.Signature([*own, *flags]))  # noqa: B010  # unknown to type checkers
        return function

    return give


def _default(annotation: Any) -> bool | None:
    return False if annotation.__origin__ is bool else None
