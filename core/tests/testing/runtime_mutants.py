"""Broken runtimes: the native one with one thing forgotten or done wrong. Each check of the suite catches its own."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from engine.actions import mounts as mount_actions
from engine.actions.base import Phase, Slots, Step, action
from engine.actions.task import Created, Executed, Streams, Task
from engine.contracts.common import Probe
from engine.contracts.namespace import NamespacePlan
from engine.contracts.runtime import Capability, Runtime
from engine.errors import CommandNotFound, EngineError, KernelError
from engine.linux import mounts, namespaces, processes
from engine.spec.runtime import Process, Spec
from engine_runtime_native import stage as native
from engine_runtime_native.stage import root

Edit = Callable[[Any], None]
"""Changes a specification in place before the runtime plans it."""


class Altered(Runtime):
    """A runtime whose specifications, steps, declared capabilities or stage are changed."""

    def __init__(self, real: Runtime) -> None:
        self.real = real
        self.stage = real.stage
        self.capabilities = real.capabilities
        self.edit: Edit = lambda _spec: None
        self.edit_exec: Edit = lambda _pair: None
        self.steps: Callable[[list[Step]], Sequence[Step]] = lambda steps: steps
        self.answer: Probe | None = None
        self.bundle = ""

    def probe(self) -> Probe:
        return self.answer or self.real.probe()

    def plan(self, spec: Spec, namespaces: NamespacePlan) -> Sequence[Step]:
        changed = copy.deepcopy(spec)
        self.edit(changed)
        return self.steps(list(self.real.plan(changed, namespaces)))

    def plan_exec(self, spec: Spec, process: Process) -> Sequence[Step]:
        pair = [copy.deepcopy(spec), copy.deepcopy(process)]
        self.edit_exec(pair)
        return self.real.plan_exec(pair[0], pair[1])


class BrokenStage:
    """The native stage with functions replaced."""

    def __init__(self) -> None:
        self.create: Callable[[Task, Streams, Slots], Created] = native.create
        self.start: Callable[[Created], int] = native.start
        self.execute: Callable[..., Executed] = native.execute
        self.delete = native.delete


class Mutant(NamedTuple):
    """What is wrong: with the driver half, with the stage, or with a function (module, name, replacement)."""

    driver: Callable[[Altered], None] = lambda _altered: None
    stage: Callable[[BrokenStage], None] = lambda _broken: None
    patch: tuple[tuple[Any, str, Any], ...] = ()


@action("prctl")
class Silent(NamedTuple):
    """Says nothing."""

    def describe(self) -> str:
        return ""

    def run(self, slots: Slots) -> None:
        pass


@action("dup2")
class Leak(NamedTuple):
    """Leaves a descriptor open across execve."""

    def describe(self) -> str:
        return "leak a descriptor"

    def run(self, slots: Slots) -> None:
        os.set_inheritable(slots["rootfs"], True)


def editing(edit: Edit) -> Mutant:
    def change(altered: Altered) -> None:
        altered.edit = edit

    return Mutant(driver=change)


def exec_editing(edit: Edit) -> Mutant:
    def change(altered: Altered) -> None:
        altered.edit_exec = edit

    return Mutant(driver=change)


def forgetting(*keys: str) -> Mutant:
    def edit(spec: dict[str, Any]) -> None:
        for key in keys[:-1]:
            spec = spec[key]
        spec.pop(keys[-1], None)

    return editing(edit)


def setting(*keys: str, value: Any) -> Mutant:
    def edit(spec: dict[str, Any]) -> None:
        for key in keys[:-1]:
            spec = spec[key]
        spec[keys[-1]] = value(spec.get(keys[-1])) if callable(value) else value

    return editing(edit)


def stepping(change: Callable[[list[Step]], Sequence[Step]]) -> Mutant:
    def alter(altered: Altered) -> None:
        altered.steps = change

    return Mutant(driver=alter)


def without(*names: str) -> Mutant:
    return stepping(lambda steps: [step for step in steps if type(step.action).__name__ not in names])


def adding(phase: Phase, one: Any) -> Mutant:
    return stepping(lambda steps: [*steps, Step(phase, one)])


def replacing(name: str, **fields: Any) -> Mutant:
    def change(steps: list[Step]) -> list[Step]:
        return [
            step._replace(action=step.action._replace(**fields))  # type: ignore[attr-defined]
            if type(step.action).__name__ == name
            else step
            for step in steps
        ]

    return stepping(change)


def patching(*patches: tuple[Any, str, Any]) -> Mutant:
    return Mutant(patch=patches)


def creating(change: Callable[[Task, Streams, Slots], tuple[Task, Streams, Slots]]) -> Mutant:
    def alter(broken: BrokenStage) -> None:
        broken.create = lambda task, streams, slots: native.create(*change(task, streams, slots))

    return Mutant(stage=alter)


def lacking(kind: str) -> Mutant:
    """Clone without a kind."""
    return creating(lambda task, streams, slots: (_less(task, kind), streams, slots))


def executing_with(change: Callable[[Task, Streams], tuple[Task, Streams]]) -> Mutant:
    def execute(
        task: Task, process: Process, steps: Sequence[Step], streams: Streams, init: int, slots: Slots
    ) -> Executed:
        task, streams = change(task, streams)
        return native.execute(task, process, steps, streams, init, slots)

    def alter(broken: BrokenStage) -> None:
        broken.execute = execute

    return Mutant(stage=alter)


def executing_as(user: Any) -> Mutant:
    def execute(
        task: Task, process: Process, steps: Sequence[Step], streams: Streams, init: int, slots: Slots
    ) -> Executed:
        return native.execute(task, {**process, "user": user}, steps, streams, init, slots)

    def alter(broken: BrokenStage) -> None:
        broken.execute = execute

    return Mutant(stage=alter)


def raising(error: EngineError, *, function: str = "start") -> Mutant:
    """Tell every failure in the words of one."""

    def alter(broken: BrokenStage) -> None:
        real = getattr(broken, function)

        def call(*arguments: Any) -> Any:
            try:
                return real(*arguments)
            except EngineError as found:
                raise error from found

        setattr(broken, function, call)

    return Mutant(stage=alter)


def undeclared(capability: Capability) -> Mutant:
    def alter(altered: Altered) -> None:
        altered.capabilities = altered.capabilities - {capability}

    return Mutant(driver=alter)


def _less(task: Task, kind: str) -> Task:
    return task._replace(clone=tuple(one for one in task.clone if one != kind))


def _swapped(streams: Streams) -> Streams:
    return Streams(streams.stdin, streams.stderr, streams.stdout)


def _starts_at_once(broken: BrokenStage) -> None:
    def create(task: Task, streams: Streams, slots: Slots) -> Created:
        created = native.create(task, streams, slots)
        native.start(created)
        return created

    broken.create = create
    broken.start = lambda _created: -1


def _never_starts(broken: BrokenStage) -> None:
    broken.start = lambda _created: -1


def _wrong_pid(broken: BrokenStage) -> None:
    def create(task: Task, streams: Streams, slots: Slots) -> Created:
        created = native.create(task, streams, slots)
        slots["pid"] = os.getpid()
        return created

    broken.create = create


def _leaves_a_zombie(broken: BrokenStage) -> None:
    def start(created: Created) -> int:
        try:
            return native.start(created)
        except EngineError:
            if os.fork() == 0:
                os._exit(0)
            raise

    broken.start = start


def _stays_in_the_pid_namespace(broken: BrokenStage) -> None:
    def execute(
        task: Task, process: Process, steps: Sequence[Step], streams: Streams, init: int, slots: Slots
    ) -> Executed:
        made = native.execute(task, process, steps, streams, init, slots)
        namespaces.setns(init, namespaces.CLONE_NEWPID)
        return made

    broken.execute = execute


def _mounts_on_the_host(altered: Altered) -> None:
    real = altered.arguments

    def arguments() -> Mapping[str, Any]:
        mounts.mount("tmpfs", f"{altered.bundle}/rootfs", "tmpfs")
        return real()

    altered.arguments = arguments  # type: ignore[method-assign]


def _is_not_pure(altered: Altered) -> None:
    counter = iter(range(100))
    altered.steps = lambda found: [*found, Step(Phase.PARENT_AFTER, Numbered(next(counter)))]


@action("write")
class Numbered(NamedTuple):
    """Differs each time."""

    number: int

    def describe(self) -> str:
        return "do nothing"

    def run(self, slots: Slots) -> None:
        pass


def _attach_by_path(root_fd: int, mount: int, target: str, *, directory: bool, strict: bool) -> None:
    path = os.readlink(f"/proc/self/fd/{root_fd}") + target
    os.makedirs(path, exist_ok=True)
    mounts.move_mount(mount, mounts.AT_FDCWD, path)


def _pivot_and_keep(root_fd: int) -> None:
    os.fchdir(root_fd)
    mounts.pivot_root(".", ".")
    os.fchdir(root_fd)


def _change_directory(self: Any, slots: Slots) -> None:
    os.chdir(self.path)


def _dropping_mounts(wrong: Callable[[Mapping[str, Any]], bool]) -> Mutant:
    return setting("mounts", value=lambda found: [mount for mount in found if not wrong(mount)])


def _changing_mounts(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Mutant:
    return setting("mounts", value=lambda found: [change(mount) for mount in found])


def _process(change: Callable[[dict[str, Any]], None]) -> Mutant:
    return exec_editing(lambda pair: change(pair[1]))


def _not_readonly(mount: dict[str, Any]) -> dict[str, Any]:
    return {**mount, "options": [word for word in mount["options"] if word != "ro"]}


def _tmpfs_for_binds(mount: dict[str, Any]) -> dict[str, Any]:
    return {**mount, "type": "tmpfs", "options": []} if mount["type"] == "bind" else mount


def _one_more_capability(sets: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: [*names, "CAP_NET_RAW"] for name, names in sets.items()}


def _without_ambient(sets: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: names for name, names in sets.items() if name != "ambient"}


def _known_capabilities(sets: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: [one for one in names if one != "CAP_NONE"] for name, names in sets.items()}


def _given(key: str, value: Any) -> Mutant:
    """Start the init with another process than the one that was asked for."""

    def change(task: Task, streams: Streams, slots: Slots) -> tuple[Task, Streams, Slots]:
        process: Any = {**task.process}
        process[key] = value(process.get(key)) if callable(value) else value
        return task._replace(process=process), streams, slots

    return creating(change)


def _user(value: Any) -> Mutant:
    return _given("user", value)


MUTANTS: dict[str, Mutant] = {
    "test_probe_says_that_it_works_here": Mutant(
        driver=lambda altered: setattr(altered, "answer", Probe(False, "no reason"))
    ),
    "test_exit_status_is_the_commands": _given("args", ["true"]),
    "test_death_by_a_signal_is_told": Mutant(stage=_never_starts),
    "test_streams_are_the_three_descriptors": creating(lambda task, streams, slots: (task, _swapped(streams), slots)),
    "test_created_init_waits_for_start": Mutant(stage=_starts_at_once),
    "test_init_is_the_shims_own_child": Mutant(stage=_wrong_pid),
    "test_init_is_the_first_process_of_its_namespace": lacking("pid"),
    "test_started_means_executed": Mutant(stage=_never_starts),
    "test_every_namespace_of_the_plan_is_the_containers_own": lacking("ipc"),
    "test_namespace_steps_are_run": creating(
        lambda task, streams, slots: (
            task._replace(steps=tuple(one for one in task.steps if type(one.action).__name__ != "SetHostname")),
            streams,
            slots,
        )
    ),
    "test_init_dies_with_the_shim": without("FreshProcess"),
    "test_missing_command_is_not_found": raising(KernelError("no-such-command /no/such/command")),
    "test_missing_interpreter_is_named": raising(CommandNotFound("not found")),
    "test_what_cannot_be_executed_is_not_runnable": raising(CommandNotFound("/bin/text /bin/garbage /srv")),
    "test_failed_start_leaves_no_process": Mutant(stage=_leaves_a_zombie),
    "test_failed_step_says_which": raising(KernelError("it failed")),
    "test_nothing_is_mounted_on_the_host": Mutant(driver=_mounts_on_the_host),
    "test_plan_is_the_same_each_time": Mutant(driver=_is_not_pure),
    "test_plan_holds_every_phase_it_needs_and_describes_it": adding(Phase.CHILD_AFTER_PIVOT, Silent()),
    "test_unknown_part_of_the_specification_is_refused_by_name": forgetting("linux", "intelRdt"),
    "test_command_that_is_none_is_refused": setting("process", "args", value=["true"]),
    "test_undeclared_terminal_is_refused": undeclared(Capability.TERMINAL),
    "test_root_is_the_rootfs_and_nothing_else": patching((root, "pivot", os.fchdir)),
    "test_mounts_of_the_host_are_out_of_sight": patching((root, "pivot", _pivot_and_keep)),
    "test_mounts_are_made_in_order_with_their_options": setting("mounts", value=lambda found: found[::-1]),
    "test_proc_shows_the_containers_processes": _dropping_mounts(lambda mount: mount["type"] == "proc"),
    "test_bind_mount_is_the_hosts_directory": _changing_mounts(_tmpfs_for_binds),
    "test_bind_mount_of_a_file": without("AttachMount"),
    "test_read_only_bind_mount": _changing_mounts(_not_readonly),
    "test_missing_source_is_named_before_anything_starts": _dropping_mounts(
        lambda mount: mount["source"] == "/no/such/source"
    ),
    "test_link_in_the_image_does_not_lead_a_mount_outside": patching((mount_actions, "attach", _attach_by_path)),
    "test_link_in_place_of_a_system_directory_is_refused": replacing("MountFilesystem", strict=False, verified=False),
    "test_mount_inside_proc_is_refused": _dropping_mounts(lambda mount: mount["destination"].startswith("/proc/")),
    "test_read_only_root": forgetting("root", "readonly"),
    "test_masked_paths_are_empty": forgetting("linux", "maskedPaths"),
    "test_read_only_paths_cannot_be_written": forgetting("linux", "readonlyPaths"),
    "test_default_devices_work": without("MakeDevices"),
    "test_device_links": without("LinkDevices"),
    "test_requested_device_is_there": forgetting("linux", "devices"),
    "test_sysctl_of_an_own_namespace_is_set": forgetting("linux", "sysctl"),
    "test_sysctl_of_the_machine_is_refused": forgetting("linux", "sysctl"),
    "test_working_directory_is_made_and_entered": forgetting("process", "cwd"),
    "test_working_directory_cannot_be_a_descriptor_of_the_host": patching(
        (native.vocabulary.process.ChangeDirectory, "run", _change_directory),
        (mount_actions.MakeDirectory, "run", lambda _self, _slots: None),
    ),
    "test_mount_over_the_root_is_refused": _dropping_mounts(lambda mount: mount["destination"] == "/"),
    "test_user_by_numbers": _user({}),
    "test_user_by_name_is_looked_up_in_the_image": _user({"uid": 1000, "gid": 1000}),
    "test_user_with_a_group": _user({"username": "web"}),
    "test_unknown_user_is_refused": _user({}),
    "test_user_file_that_is_a_fifo_is_not_opened": _user({"uid": 1000}),
    "test_user_file_is_not_the_hosts": _user({"uid": 4242}),
    "test_home_that_was_given_is_kept": _given("env", ["PATH=/bin"]),
    "test_environment_is_exactly_what_was_given": _given("env", lambda found: [*found, "ENGINE_STATE=/run"]),
    "test_command_is_searched_in_the_containers_path": _given("env", ["PATH=/bin"]),
    "test_arguments_are_passed_as_they_are": _given("args", lambda found: found[:-1]),
    "test_capabilities_are_exactly_those": setting("process", "capabilities", value=_one_more_capability),
    "test_other_user_has_no_capabilities_but_ambient_ones": setting("process", "capabilities", value=_without_ambient),
    "test_unknown_capability_is_refused": setting("process", "capabilities", value=_known_capabilities),
    "test_no_new_privileges": forgetting("process", "noNewPrivileges"),
    "test_resource_limits": forgetting("process", "rlimits"),
    "test_resource_limit_that_cannot_be_is_refused": forgetting("process", "rlimits"),
    "test_resource_limit_that_was_not_asked_for_stays": setting(
        "process", "rlimits", value=[{"type": "RLIMIT_NOFILE", "soft": 99, "hard": 99}]
    ),
    "test_oom_score": forgetting("process", "oomScoreAdj"),
    "test_umask": forgetting("process", "user", "umask"),
    "test_signals_are_those_of_a_fresh_process": without("FreshProcess"),
    "test_no_descriptor_but_the_streams": adding(Phase.CHILD_AFTER_PIVOT, Leak()),
    "test_session_is_its_own": patching((processes, "new_session", lambda _tty=None: None)),
    "test_filter_holds": forgetting("linux", "seccomp"),
    "test_exec_joins_every_namespace": executing_with(lambda task, streams: (_less(task, "ipc"), streams)),
    "test_exec_has_the_root_the_streams_and_a_status": executing_with(lambda task, streams: (task, _swapped(streams))),
    "test_exec_is_confined_as_the_init_is": exec_editing(lambda pair: pair[0]["linux"].pop("seccomp")),
    "test_exec_as_another_user": executing_as({}),
    "test_exec_of_a_missing_command_is_not_found": raising(KernelError("no-such-command"), function="execute"),
    "test_exec_leaves_the_shim_in_its_own_pid_namespace": Mutant(stage=_stays_in_the_pid_namespace),
    "test_terminal_is_the_containers_own_controlling_one": forgetting("process", "consoleSize"),
    "test_terminal_belongs_to_the_user": patching((os, "fchown", lambda _fd, _uid, _gid: None)),
    "test_terminal_carries_keys_and_signals": patching((processes, "new_session", lambda _tty=None: os.setsid())),
    "test_exec_with_a_terminal": _process(lambda process: process.pop("consoleSize")),
    "test_user_namespace_maps_root": patching((root, "become_root", lambda: None)),
    "test_exec_into_a_user_namespace": executing_with(lambda task, streams: (_less(task, "user"), streams)),
    "test_time_namespace_shifts_the_clocks": creating(
        lambda task, streams, slots: (
            task._replace(steps=tuple(one for one in task.steps if type(one.action).__name__ != "SetTimeOffsets")),
            streams,
            slots,
        )
    ),
    "test_joined_namespaces_are_those_of_the_other": creating(
        lambda task, streams, slots: (task._replace(joins=()), streams, slots)
    ),
    "test_undeclared_capability_is_refused": undeclared(Capability.SECCOMP),
}
"""Check to mutant."""
