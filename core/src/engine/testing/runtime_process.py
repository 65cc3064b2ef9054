"""Checks of what a container's process is: who, with which rights, limits, environment and descriptors."""

from __future__ import annotations

import os

import pytest

from engine.errors import EngineError, InvalidInput
from engine.linux import capabilities, rlimits
from engine.testing.runtime_support import CAPABILITIES, Box, make_spec, with_linux, with_process


def status(box: Box, **process: object) -> dict[str, str]:
    """Return /proc/self/status of a container's init; without a shell, which ignores SIGQUIT for its children."""
    lines = box.run(with_process(make_spec("cat", "/proc/self/status"), **process)).stdout.splitlines()
    return {name: value.strip() for name, _colon, value in (line.partition(":") for line in lines)}


class ProcessChecks:
    """`engine.spec.runtime.Process`, key by key."""

    def test_user_by_numbers(self, box: Box) -> None:
        """A user, a group and more groups can be numbers."""
        user = {"uid": 123, "gid": 456, "additionalGids": [7, 8]}
        assert box.sh("id -u; id -g; id -G", user=user).stdout == "123\n456\n456 7 8\n"

    def test_user_by_name_is_looked_up_in_the_image(self, box: Box) -> None:
        """A user's name is looked up in the image: ids, groups, home."""
        assert box.sh("id -u; id -g; id -G; echo $HOME", user={"username": "web"}).stdout == (
            "1000\n1001\n1001 2000\n/srv/web\n"
        )

    def test_user_with_a_group(self, box: Box) -> None:
        """A user with a group has that one alone."""
        assert box.sh("id -u; id -G", user={"username": "web:logs"}).stdout == "1000\n2000\n"

    def test_unknown_user_is_refused(self, box: Box) -> None:
        """A user whom the image does not have is refused by name."""
        with pytest.raises(EngineError, match="nobody-here"):
            box.sh("id", user={"username": "nobody-here"})

    def test_user_file_that_is_a_fifo_is_not_opened(self, box: Box) -> None:
        """A fifo in the place of /etc/passwd is refused, not waited for."""
        (box.tree / "etc/passwd").unlink()
        os.mkfifo(box.tree / "etc/passwd")
        with pytest.raises(EngineError, match="passwd"):
            box.sh("id", user={"username": "web"})

    def test_user_file_is_not_the_hosts(self, box: Box) -> None:
        """A link in the place of /etc/passwd does not lead to the host's file."""
        outside = box.bundle / "outside"
        outside.write_text("spy:x:4242:4242::/:/bin/sh\n")
        (box.tree / "etc/passwd").unlink()
        (box.tree / "etc/passwd").symlink_to(outside)
        with pytest.raises(EngineError, match="spy"):
            box.sh("id", user={"username": "spy"})

    def test_home_that_was_given_is_kept(self, box: Box) -> None:
        """HOME that was given is kept."""
        assert box.sh("echo $HOME", env=["PATH=/bin", "HOME=/elsewhere"]).stdout == "/elsewhere\n"

    def test_environment_is_exactly_what_was_given(self, box: Box) -> None:
        """The environment is what was given and HOME, nothing of the shim's."""
        output = box.run(make_spec("env")).stdout.splitlines()
        assert sorted(output) == ["HOME=/root", "MARK=contract", "PATH=/bin"]

    def test_command_is_searched_in_the_containers_path(self, box: Box) -> None:
        """The command is searched along the container's PATH."""
        (box.tree / "opt").mkdir()
        (box.tree / "opt/tool").write_text("#!/bin/sh\necho tool\n")
        (box.tree / "opt/tool").chmod(0o755)
        assert box.run(with_process(make_spec("tool"), env=["PATH=/bin:/opt"])).stdout == "tool\n"

    def test_arguments_are_passed_as_they_are(self, box: Box) -> None:
        """Arguments are passed as they are, empty ones too."""
        assert box.run(make_spec("sh", "-c", 'echo "$#:$1:$2"', "x", "a b", "")).stdout == "2:a b:\n"

    def test_capabilities_are_exactly_those(self, box: Box) -> None:
        """The bounding, permitted and effective sets are exactly those asked for."""
        wanted = f"{capabilities.mask(CAPABILITIES):016x}"
        found = status(box)
        assert {found[name] for name in ("CapPrm", "CapEff", "CapBnd")} == {wanted}
        assert {found["CapInh"], found["CapAmb"]} == {"0" * 16}

    def test_other_user_has_no_capabilities_but_ambient_ones(self, box: Box) -> None:
        """A user other than root keeps ambient capabilities alone."""
        found = status(box, user={"uid": 1000, "gid": 1000})
        assert found["CapEff"] == found["CapPrm"] == "0" * 16
        sets = {name: ["CAP_CHOWN"] for name in ("bounding", "effective", "permitted", "inheritable", "ambient")}
        found = status(box, user={"uid": 1000, "gid": 1000}, capabilities=sets)
        assert found["CapEff"] == found["CapAmb"] == f"{1:016x}"

    def test_unknown_capability_is_refused(self, box: Box) -> None:
        """A capability that does not exist is refused by name."""
        with pytest.raises(InvalidInput, match="CAP_NONE"):
            box.sh("true", capabilities={"bounding": ["CAP_NONE"]})

    def test_no_new_privileges(self, box: Box) -> None:
        """no_new_privs is set when asked for, and not otherwise."""
        assert status(box, noNewPrivileges=True)["NoNewPrivs"] == "1"
        assert status(box, noNewPrivileges=False)["NoNewPrivs"] == "0"

    def test_resource_limits(self, box: Box) -> None:
        """Resource limits are set, soft and hard."""
        limits = [
            {"type": "RLIMIT_NOFILE", "soft": 64, "hard": 128},
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        ]
        assert box.sh("ulimit -n; ulimit -Hn; ulimit -c", rlimits=limits).stdout == "64\n128\n0\n"

    def test_resource_limit_that_cannot_be_is_refused(self, box: Box) -> None:
        """An unknown limit, and a soft one above the hard one, are refused by name."""
        for wrong in ({"type": "RLIMIT_NONE", "soft": 1, "hard": 1}, {"type": "RLIMIT_NOFILE", "soft": 2, "hard": 1}):
            with pytest.raises(EngineError, match=r"(?i)none|nofile"):
                box.sh("true", rlimits=[wrong])

    def test_resource_limit_that_was_not_asked_for_stays(self, box: Box) -> None:
        """A limit that was not asked for is the shim's."""
        assert box.sh("ulimit -n").stdout == f"{rlimits.get_rlimit('RLIMIT_NOFILE')[0]}\n"

    def test_oom_score(self, box: Box) -> None:
        """oom_score_adj is set."""
        assert box.sh("cat /proc/self/oom_score_adj", oomScoreAdj=321).stdout == "321\n"

    def test_umask(self, box: Box) -> None:
        """The umask is the one asked for, 022 by default."""
        assert box.sh("umask", user={"uid": 0, "gid": 0, "umask": 0o027}).stdout == "0027\n"
        assert box.sh("umask").stdout == "0022\n"

    def test_signals_are_those_of_a_fresh_process(self, box: Box) -> None:
        """No signal is blocked or ignored."""
        found = status(box)
        assert found["SigBlk"] == found["SigIgn"] == "0" * 16

    def test_no_descriptor_but_the_streams(self, box: Box) -> None:
        """No descriptor but the three streams is open."""
        # 3 is the listing's own.
        assert box.sh("ls /proc/self/fd").stdout.split() == ["0", "1", "2", "3"]

    def test_session_is_its_own(self, box: Box) -> None:
        """The init leads a session and a process group of its own."""
        assert box.sh("cut -d' ' -f5,6 /proc/1/stat").stdout == "1 1\n"

    def test_filter_holds(self, box: Box) -> None:
        """A filter holds, with and without no_new_privs."""
        profile = {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}],
        }
        for privileges in (True, False):
            spec = with_process(make_spec("sh", "-c", "mkdir /made; test -d /made"), noNewPrivileges=privileges)
            output = box.run(with_linux(spec, seccomp=profile))
            assert output.status != 0
            assert "not supported" in output.stderr
