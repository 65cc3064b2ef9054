"""`engine save`, `export` and `history`: archives that other tools read, and what an image was made of."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

from tests.e2e.box import BUSYBOX, Box, refused


def committed(box: Box, script: str, name: str, *flags: str) -> str:
    """Return the ID of an image with one more layer."""
    with box.to_be_removed() as container:
        box.done("run", "--name", container, BUSYBOX, "sh", "-c", script)
        return box.done("commit", *flags, container, name).stdout.strip()


def test_skopeo_reads_what_is_saved_as_both_formats(own_box: Box, tmp_path: Path) -> None:
    image = committed(own_box, "echo saved >/file", "made:1")
    file = tmp_path / "made.tar"
    own_box.done("save", "--output", file, "made:1")
    assert file.stat().st_mode & 0o777 == 0o600
    wanted = json.loads(own_box.done("image", "inspect", "made:1").stdout)[0]
    assert image == wanted["Id"]
    for source in (f"docker-archive:{file}:made:1", f"oci-archive:{file}:1"):
        shown = subprocess.run(["skopeo", "inspect", "--config", source], capture_output=True, text=True, check=True)
        assert json.loads(shown.stdout)["rootfs"]["diff_ids"] == wanted["RootFS"]["Layers"]
        copy = tmp_path / source.partition(":")[0]
        subprocess.run(
            ["skopeo", "copy", "-q", "--insecure-policy", source, f"docker-archive:{copy}:copy:1"], check=True
        )
        own_box.done("load", "-i", copy)
        assert own_box.done("run", "--rm", "copy:1", "cat", "/file").stdout == "saved\n"


def test_several_images_share_what_they_have_in_common(own_box: Box, tmp_path: Path) -> None:
    first = committed(own_box, "echo 1 >/file", "one:1")
    second = committed(own_box, "echo 2 >/file", "two:1")
    own_box.done("tag", "two:1", "two:again")
    saved = subprocess.run(
        own_box.root.command("save", "one:1", "two:1", "two:again", second), env=own_box.root.environment,
        capture_output=True, check=True, stdin=subprocess.DEVNULL,
    ).stdout  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        names = archive.getnames()
        listed = archive.extractfile("manifest.json")
        assert listed is not None
        manifest = json.load(listed)
    assert len(names) == len(set(names)) == 2 + 3 + 3 + 2 + 2  # directories, documents, layers, configs, manifests
    assert [entry["RepoTags"] for entry in manifest] == [["one:1"], ["two:1", "two:again"]]
    own_box.done("rmi", "--force", first, second)
    loaded = subprocess.run(
        own_box.root.command("load"), env=own_box.root.environment, input=saved, capture_output=True, check=True
    ).stdout.decode()
    assert set(loaded.split()[2::3]) == {"one:1", "two:1", "two:again"}
    assert own_box.done("run", "--rm", "two:again", "cat", "/file").stdout == "2\n"
    assert own_box.done("image", "inspect", "--format", "{{.Id}}", "one:1").stdout == f"{first}\n"


def test_saving_by_id_gives_no_name(own_box: Box, tmp_path: Path) -> None:
    image = own_box.done("images", "-q", "--no-trunc").stdout.strip()
    own_box.done("save", "-o", tmp_path / "a.tar", image)
    own_box.done("rmi", BUSYBOX)
    assert own_box.done("load", "-i", tmp_path / "a.tar").stdout == f"Loaded image: {image}\n"


def test_what_cannot_be_saved_is_refused_and_leaves_no_file(own_box: Box, tmp_path: Path) -> None:
    refused(own_box("save", "-o", tmp_path / "a.tar", BUSYBOX, "no-such"), "there is no image 'no-such'")
    refused(own_box("save", "-o", tmp_path / "none" / "a.tar", BUSYBOX), f"cannot write {tmp_path}/none/a.tar")
    layer = max((own_box.root.root / "content/blobs/sha256").iterdir(), key=lambda blob: blob.stat().st_size)
    layer.chmod(0o600)
    with layer.open("r+b") as file:
        file.seek(1000)
        file.write(b"changed")
    refused(own_box("save", "-o", tmp_path / "a.tar", BUSYBOX), "is damaged on disk")
    assert list(tmp_path.iterdir()) == []


def test_an_archive_is_not_written_to_a_terminal(own_box: Box) -> None:
    ours, theirs = os.openpty()
    try:
        for command in (["save", BUSYBOX], ["export", "none"]):
            done = own_box.root.popen(*command, stdout=theirs, stderr=subprocess.PIPE)
            assert "terminal" in done.communicate(timeout=60)[1]
            assert done.returncode == 125
    finally:
        os.close(ours)
        os.close(theirs)


def exported(box: Box, name: str) -> tarfile.TarFile:
    """Return the archive that `export` writes to its output."""
    done = subprocess.run(
        box.root.command("export", name), env=box.root.environment, capture_output=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    return tarfile.open(fileobj=io.BytesIO(done.stdout))


def test_export_has_the_files_without_the_mounts(own_box: Box, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("the host's")
    flags = ["-v", f"{tmp_path}:/data", "--tmpfs", "/scratch"]
    script = "echo here >/file; ln /file /link; touch /scratch/x; exec sleep 600"
    with own_box.container(*flags, script=f"{script}; echo done") as container:
        container.sh("until test -e /scratch/x; do :; done")
        running = exported(own_box, container.name)
        own_box.done("stop", "-t", "0", container.name)
        stopped = exported(own_box, container.name)
    for archive in (running, stopped):
        names = set(archive.getnames())
        assert {".", "bin/busybox", "file", "link", "data", "proc", "scratch"} <= names
        assert not {"data/secret", "scratch/x", "proc/self", "dev/null"} & names
        content = archive.extractfile("link")
        assert content is not None
        assert content.read() == b"here\n"


def test_an_export_makes_an_image_again(own_box: Box, tmp_path: Path) -> None:
    with own_box.to_be_removed() as name:
        own_box.done("run", "--name", name, BUSYBOX, "sh", "-c", "echo kept >/file")
        own_box.done("export", "-o", tmp_path / "root.tar", name)
    own_box.done("import", tmp_path / "root.tar", "again")
    assert own_box.done("run", "--rm", "again", "cat", "/file").stdout == "kept\n"


def test_history_shows_the_steps_the_last_one_first(own_box: Box) -> None:
    image = committed(own_box, "echo x >/file", "made:1", "--message", "one file more")
    shown = own_box.done("history", "--no-trunc", "--format", "json", "made:1").stdout.splitlines()
    last, first = map(json.loads, shown)
    assert (last["ID"], last["Comment"], last["CreatedBy"]) == (image, "one file more", "sh -c echo x >/file")
    assert (first["ID"], first["Comment"][:8]) == ("<missing>", "Imported")
    assert last["Size"].endswith("kB")
    assert own_box.done("history", "-q", "made:1").stdout.split() == [image[7:19], "<missing>"]
    assert own_box.done("history", "made:1").stdout.splitlines()[0].split() == [
        "IMAGE", "CREATED", "CREATED", "BY", "SIZE", "COMMENT",
    ]  # fmt: skip
    refused(own_box("history", "no-such"), "there is no image 'no-such'")
