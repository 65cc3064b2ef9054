"""`engine cp`: Docker's rules for paths, in both directions, and containers that try to lead it outside."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.box import Box, Container, refused, until

BUILD = """
if test ! -e /ready; then mkdir -p /work/dir/sub /work/empty; cd /work
echo one >dir/file; echo two >dir/sub/other; ln dir/file dir/hard; ln -s file dir/soft; ln -s dir link; mkfifo dir/pipe
chmod 4755 dir/file; chown 12:34 dir/sub/other; touch -d '2001-02-03 04:05:06' dir/sub/other dir/sub
touch /ready; fi
exec sleep 600
"""
LOOK = "cd {}; find . ! -name . | sort | while read f; do stat -c '%n %F %a %s' $f; done"


@pytest.fixture(params=["running", "stopped"])
def target(request: pytest.FixtureRequest, box: Box) -> Iterator[Container]:
    """A container with files in it, running or not; started again, it makes none anew."""
    with box.container(script=BUILD) as container:
        until(lambda: box("exec", container.name, "test", "-e", "/ready").returncode == 0, "its files")
        if request.param == "stopped":
            box.done("stop", "-t", "0", container.name)
        yield container


def inside(target: Container, script: str) -> str:
    """Return what a script prints that sees the container's files, also when it had stopped."""
    target.box.done("start", target.name)
    return target.sh(script)


def local(place: Path) -> Path:
    """Make a directory with files in it here."""
    (place / "dir" / "sub").mkdir(parents=True)
    (place / "dir" / "file").write_text("one\n")
    (place / "dir" / "sub" / "other").write_text("two\n")
    os.link(place / "dir" / "file", place / "dir" / "hard")
    (place / "dir" / "soft").symlink_to("file")
    os.utime(place / "dir" / "sub", (981173106, 981173106))
    os.chown(place / "dir" / "sub" / "other", 12, 34)
    return place / "dir"


def test_a_file_and_a_directory_come_out(target: Container, tmp_path: Path) -> None:
    box = target.box
    box.done("cp", f"{target.name}:/work/dir/file", tmp_path)
    box.done("cp", f"{target.name}:work/dir/file", tmp_path / "renamed")
    box.done("cp", f"{target.name}:/work/dir", tmp_path)
    box.done("cp", f"{target.name}:/work/dir", tmp_path / "made")
    box.done("cp", f"{target.name}:/work/dir/.", tmp_path / "dir" / "sub")
    assert (tmp_path / "file").read_text() == (tmp_path / "renamed").read_text() == "one\n"
    for place in (tmp_path / "dir", tmp_path / "made", tmp_path / "dir" / "sub"):
        assert (place / "file").samefile(place / "hard")
        assert (place / "soft").readlink() == Path("file")
        assert (place / "sub" / "other").read_text() == "two\n"
        assert (place / "pipe").is_fifo()
    status = (tmp_path / "made" / "sub" / "other").stat()
    assert (status.st_uid, status.st_gid, status.st_mtime) == (os.getuid(), os.getgid(), 981173106)
    assert (tmp_path / "made" / "sub").stat().st_mtime == 981173106
    assert (tmp_path / "made" / "file").stat().st_mode & 0o7777 == 0o755


def test_owners_are_kept_when_asked(target: Container, tmp_path: Path) -> None:
    target.box.done("cp", "-a", f"{target.name}:/work/dir", tmp_path / "out")
    status = (tmp_path / "out" / "sub" / "other").stat()
    assert (status.st_uid, status.st_gid) == (12, 34)
    target.box.done("cp", "--archive", local(tmp_path), f"{target.name}:/work/kept")
    target.box.done("cp", tmp_path / "dir", f"{target.name}:/work/roots")
    assert inside(target, "stat -c '%u:%g' /work/kept/sub/other /work/roots/sub/other").split() == ["12:34", "0:0"]


def test_a_file_and_a_directory_go_in(target: Container, tmp_path: Path) -> None:
    box, source = target.box, local(tmp_path)
    box.done("cp", source / "file", f"{target.name}:/work/empty")
    box.done("cp", source / "file", f"{target.name}:/work/dir/sub/other")
    box.done("cp", source, f"{target.name}:/work/empty/")
    box.done("cp", source, f"{target.name}:work/made")
    box.done("cp", f"{source}/.", f"{target.name}:/work/link/sub")
    shown = inside(target, f"cat /work/empty/file /work/dir/sub/other; {LOOK.format('/work/made')}")
    assert shown.splitlines() == [
        "one", "one", "./file regular file 644 4", "./hard regular file 644 4", "./soft symbolic link 777 4",
        "./sub directory 755 4096", "./sub/other regular file 644 4",
    ]  # fmt: skip
    assert target.sh(LOOK.format("/work/empty/dir")) == target.sh(LOOK.format("/work/made"))
    assert target.sh("stat -c '%h %Y' /work/made/file /work/made/sub").split()[::3] == ["2", "981173106"]
    assert "./sub/other regular file" in target.sh(LOOK.format("/work/dir/sub"))


def test_links_at_the_end_of_a_path(target: Container, tmp_path: Path) -> None:
    box = target.box
    box.done("cp", f"{target.name}:/work/dir/soft", tmp_path / "link")
    box.done("cp", "-L", f"{target.name}:/work/dir/soft", tmp_path / "followed")
    box.done("cp", "--follow-link", f"{target.name}:/work/link", tmp_path / "directory")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "followed").read_text() == "one\n"
    assert not (tmp_path / "followed").is_symlink()
    assert (tmp_path / "directory" / "sub").is_dir()
    (tmp_path / "new").write_text("new\n")
    box.done("cp", tmp_path / "new", f"{target.name}:/work/dir/soft")
    (tmp_path / "pointer").symlink_to("followed")
    box.done("cp", f"{target.name}:/work/dir/sub/other", tmp_path / "pointer")
    assert ((tmp_path / "pointer").is_symlink(), (tmp_path / "followed").read_text()) == (True, "two\n")
    assert inside(target, "readlink /work/dir/soft; cat /work/dir/file /work/dir/hard").split() == [
        "file",
        "new",
        "one",
    ]


def test_archives_as_streams(target: Container) -> None:
    environment = target.box.root.environment
    command = target.box.root.command("cp", f"{target.name}:/work/dir", "-")
    out = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(out)) as archive:
        assert archive.getnames()[0] == "dir"
        assert {"dir/file", "dir/sub/other", "dir/pipe"} <= set(archive.getnames())
        assert archive.getmember("dir/sub/other").uid == 12
    subprocess.run(
        target.box.root.command("cp", "-", f"{target.name}:/work/empty"), env=environment, input=out, check=True
    )
    shown = inside(target, "stat -c '%u %Y' /work/empty/dir/sub/other; stat -c %a /work/empty/dir/file")
    assert shown.split() == ["12", "981173106", "4755"]


@pytest.mark.parametrize(
    ("source", "wanted", "what"),
    [
        ("{name}:/none", "{place}", "there is no file or directory {name}:/none"),
        ("{name}:/work/dir", "{place}/here", "is a directory and {place}/here is a file"),
        ("{place}/here", "{name}:/none/file", "there is no file or directory {name}:/none/file"),
        ("{place}/here", "{name}:/none/", "there is no directory {name}:/none/"),
        ("{place}/none", "{name}:/work", "there is no file or directory {place}/none"),
        ("{place}", "{name}:/work/dir/file", "is a directory"),
        ("{place}/here", "{name}:/work/dir/file/below", "{name}:/work/dir/file/below"),
        ("{name}:/work/dir/file", "{place}/special", "is neither a file nor a directory"),
        ("{place}/here", "{name}:/dev/null", "is neither a file nor a directory"),
        ("{place}/here", "no-such:/work", "there is no container 'no-such'"),
        ("{place}/here", "{place}/there", "one side has to be in a container"),
        ("{name}:/work", "{name}:/work/empty", "one side has to be in a container"),
        ("{name}:", "{place}", "no path after the colon"),
        (":/x", "{place}", "is neither CONTAINER:PATH nor a path"),
    ],
)
def test_what_cannot_be_copied_is_refused(box: Box, tmp_path: Path, source: str, wanted: str, what: str) -> None:
    (tmp_path / "here").write_text("x")
    os.mknod(tmp_path / "special", 0o20666, os.makedev(1, 3))
    with box.container(script=BUILD) as container:
        until(lambda: box("exec", container.name, "test", "-e", "/ready").returncode == 0, "its files")
        words = {"name": container.name, "place": tmp_path}
        refused(box("cp", source.format(**words), wanted.format(**words)), what.format(**words))
    assert {path.name for path in tmp_path.iterdir()} == {"here", "special"}
    assert (tmp_path / "special").is_char_device()


def test_what_is_mounted_is_reached_while_the_container_runs_and_refused_otherwise(box: Box, tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "file"
    data.mkdir()
    file.write_text("x\n")
    with box.container("-v", f"{data}:/data", script="ln -s data /pointer; exec sleep 600") as container:
        until(lambda: box("exec", container.name, "test", "-e", "/pointer").returncode == 0, "its link")
        box.done("cp", file, f"{container.name}:/pointer/new")
        assert (data / "new").read_text() == "x\n"
        box.done("stop", "-t", "0", container.name)
        for path in ("/data/new", "/pointer", "/data", "/proc/x", "/etc/hosts"):
            refused(box("cp", file, f"{container.name}:{path}"), "mounted only while the container runs")
        box.done("cp", file, f"{container.name}:/database")


def test_no_link_leads_into_what_is_mounted_only_while_the_container_runs(box: Box, tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "file"
    data.mkdir()
    file.write_text("x\n")
    links = "ln -s data/new /dangling; ln -s /later /early; ln -s /dangling /twice; ln -s tmp/new /harmless"
    with box.to_be_removed() as name:
        box.done("run", "--name", name, "-v", f"{data}:/data", box.image, "sh", "-c", links)
        for path in ("/dangling", "/twice"):
            refused(box("cp", file, f"{name}:{path}"), "mounted only while the container runs")
        box.done("cp", file, f"{name}:/harmless")
        assert box.done("cp", f"{name}:/tmp/new", "-").stdout.count("x\n") == 1
        assert list(data.iterdir()) == []
        made = box.done("commit", name).stdout.strip()
    with box.to_be_removed() as name:
        box.done("create", "--name", name, "-v", f"{data}:/later", made, "true")
        for path in ("/early", "/later", "/later/new"):
            refused(box("cp", file, f"{name}:{path}"), "mounted only while the container runs")
        box.done("start", name)
    box.done("rmi", made)


def tree_for_a_root(place: Path) -> Path:
    """Make a directory as one copies it onto ``/``: with something where mounts will be, and empty mount points."""
    (place / "data" / "deep").mkdir(parents=True)
    for name in ("proc", "run", "etc", "aaa"):
        (place / name).mkdir()
    (place / "aaa" / "first").write_text("x\n")
    (place / "etc" / "mine").write_text("x\n")
    return place


@pytest.mark.parametrize("started", [False, True], ids=["created", "stopped"])
@pytest.mark.parametrize("where", ["data/deep/file", "run/file", "etc/hosts", "data"])
def test_nothing_is_put_where_a_mount_will_hide_it(box: Box, tmp_path: Path, where: str, *, started: bool) -> None:
    tree, volume = tree_for_a_root(tmp_path / "tree"), tmp_path / "volume"
    volume.mkdir()
    mounts = ("-v", f"{volume}:/data/deep", "--tmpfs", "/run")
    with box.to_be_removed() as name:
        box.done("create", "--name", name, *mounts, box.image, "sh", "-c", "test -e /started || touch /started")
        if started:
            box.done("start", "--attach", name)
        box.done("cp", f"{tree}/.", f"{name}:/")
        wrong = tmp_path / "wrong"
        (wrong / "aaa").mkdir(parents=True)
        (wrong / "aaa" / "second").write_text("x\n")
        (wrong / where).parent.mkdir(parents=True, exist_ok=True)
        (wrong / where).write_text("hidden\n")
        what = "in the way of" if where == "data" else "mounted only while the container runs"
        refused(box("cp", f"{wrong}/.", f"{name}:/"), what)
        packed = subprocess.run(["tar", "-C", wrong, "-c", where], stdout=subprocess.PIPE, check=True).stdout
        command = box.root.command("cp", "-", f"{name}:/")
        streamed = subprocess.run(command, env=box.root.environment, input=packed, capture_output=True)
        assert (streamed.returncode, what.encode() in streamed.stderr) == (125, True), streamed.stderr
        placed = set(box.done("diff", name).stdout.split()[1::2])
        assert {"/aaa/first", "/etc/mine"} <= placed
        assert not placed & {"/aaa/second", f"/{where}" if where != "data" else ""}
    assert list(volume.iterdir()) == []


def test_a_read_only_container_is_not_written_to(box: Box, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with box.container("--read-only") as container:
        refused(box("cp", tmp_path / "file", f"{container.name}:/tmp"), "Read-only file system")
        box.done("cp", f"{container.name}:/etc/passwd", tmp_path)
        box.done("stop", "-t", "0", container.name)
        refused(box("cp", tmp_path / "file", f"{container.name}:/tmp"), "Read-only file system")
        box.done("cp", f"{container.name}:/etc/group", tmp_path)


def test_devices_of_a_container_are_left_out_here_and_named(box: Box, tmp_path: Path) -> None:
    with box.container(
        "--cap-add", "MKNOD", script="mkdir /d; mknod /d/disk b 8 0; echo >/d/z; sleep 600"
    ) as container:
        until(lambda: box("exec", container.name, "test", "-e", "/d/z").returncode == 0, "its files")
        done = box.done("cp", f"{container.name}:/d", tmp_path)
    assert "left out d/disk: it is a device" in done.stderr
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["z"]


def test_a_file_of_the_kernel_is_not_written_into(box: Box, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hostile")
    with box.container(script="ln -s /proc/1 /trap; exec sleep 600") as container:
        until(lambda: box("exec", container.name, "test", "-L", "/trap").returncode == 0, "its link")
        done = box("cp", tmp_path / "file", f"{container.name}:/trap/comm")
        assert done.returncode == 125
        assert container.sh("cat /proc/1/comm") == "sleep\n"


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A directory here with a secret in it, at a path that a container can name too."""
    place = tmp_path / "outside"
    place.mkdir()
    (place / "file").write_text("secret")
    yield place
    assert [path.name for path in place.iterdir()] == ["file"]
    assert (place / "file").read_text() == "secret"


def swapping(first: str, second: str) -> str:
    """Return a script that gives two files each other's names for ever."""
    return f"while :; do mv -T {first} /t; mv -T {second} {first}; mv -T /t {second}; done"


def test_links_that_change_lead_nowhere_outside(box: Box, tmp_path: Path, outside: Path) -> None:
    up = "../" * 12
    script = f"mkdir /real /real/sub; echo public >/real/file; ln -s {up}{outside} /trap; touch /ready"
    (tmp_path / "payload").mkdir()
    (tmp_path / "payload" / "new").write_text("x")
    with box.container(script=f"{script}; {swapping('/real', '/trap')}") as container:
        until(lambda: box("exec", container.name, "test", "-e", "/ready").returncode == 0, "the container is busy")
        for number in range(12):
            for path in ("/real/file", "/real/", "/real/."):
                box("cp", "-L", f"{container.name}:{path}", tmp_path / f"out-{number}")
            box("cp", f"{tmp_path}/payload/.", f"{container.name}:/real")
            box("cp", tmp_path / "payload" / "new", f"{container.name}:/real/sub")
    copied = [path.read_text() for path in tmp_path.glob("out-*/**/file") if path.is_file()]
    copied += [path.read_text() for path in tmp_path.glob("out-*") if path.is_file()]
    assert "secret" not in copied
    assert copied


def test_absolute_links_of_a_stopped_container_stay_inside(box: Box, tmp_path: Path, outside: Path) -> None:
    (tmp_path / "new").write_text("x")
    with box.to_be_removed() as name:
        box.done("run", "--name", name, box.image, "ln", "-s", str(outside), "/trap")
        refused(box("cp", "-L", f"{name}:/trap/file", tmp_path / "out"), "there is no file")
        refused(box("cp", tmp_path / "new", f"{name}:/trap/new"), "there is no file")


def hostile_archive(outside: Path) -> list[bytes]:
    """Return archives that try to place a file outside, one way each."""
    archives = []
    for entries in (
        [("trap", outside, b""), ("trap/new", None, b"x")],
        [("../../../../../../../../" + str(outside).lstrip("/") + "/new", None, b"x")],
        [("trap", outside / "file", b""), ("trap", None, b"inside")],
    ):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for name, link, content in entries:
                info = tarfile.TarInfo(name)
                info.type = tarfile.SYMTYPE if link else tarfile.REGTYPE
                info.linkname, info.size = str(link or ""), len(content)
                archive.addfile(info, io.BytesIO(content))
        archives.append(buffer.getvalue())
    return archives


def test_hostile_archives_place_nothing_outside(box: Box, outside: Path) -> None:
    with box.to_be_removed() as name:
        box.done("create", "--name", name, box.image, "cat", "/tmp/trap")
        statuses = [
            subprocess.run(
                box.root.command("cp", "-", f"{name}:/tmp"), env=box.root.environment, input=data, capture_output=True
            ).returncode
            for data in hostile_archive(outside)
        ]
        assert statuses == [125, 125, 0]
        assert box.done("start", "--attach", name).stdout == "inside"
