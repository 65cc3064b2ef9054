"""`engine pull`, `push` and `run` with a real registry: what people see, and what is left when it goes wrong."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.box import BUSYBOX, Box, refused, until
from tests.testbed.lying import LyingProxy, lying
from tests.testbed.registry import PASSWORD, USER, Registry, accounts, copy, free_port, serve


@pytest.fixture
def name(own_box: Box, registry: Registry) -> str:
    """An image that is in the registry, and of the test's engine had been."""
    name = f"{registry.domain}/{own_box.root.mark}/busybox:1"
    own_box.done("tag", BUSYBOX, name)
    own_box.done("push", name)
    own_box.done("rmi", name, BUSYBOX)
    return name


@pytest.fixture
def proxy(registry: Registry) -> Iterator[LyingProxy]:
    with lying(registry.domain) as server:
        yield server


def content(box: Box) -> list[str]:
    """Return the files of the content store but its lock."""
    return [file.name for file in (box.root.root / "content").rglob("*") if file.is_file() and file.name != "gc.lock"]


def test_pull_says_what_docker_says(own_box: Box, name: str) -> None:
    shown = own_box.done("pull", name).stdout.splitlines()
    digest = shown[0].removeprefix("Digest: ")
    assert re.fullmatch("sha256:[0-9a-f]{64}", digest)
    assert shown[1:] == [f"Status: Downloaded newer image for {name}", name]
    assert own_box.done("pull", name).stdout.splitlines()[1] == f"Status: Image is up to date for {name}"
    assert own_box.done("pull", "-q", name).stdout == f"{name}\n"
    repository = name.removesuffix(":1")
    assert own_box.done("images", "--digests").stdout.splitlines()[1].split()[:3] == [repository, "1", digest]
    assert own_box.done("image", "inspect", "--format", "{{json .RepoDigests}}", name).stdout == (
        f'["{repository}@{digest}"]\n'
    )
    assert own_box.done("run", "--rm", f"{repository}@{digest}", "echo", "by digest").stdout == "by digest\n"
    own_box.done("rmi", name)
    assert content(own_box) == []
    assert own_box.done("run", "--rm", f"{repository}@{digest}", "echo", "pulled").stdout == "pulled\n"
    assert own_box.done("images", "--format", "{{.Repository}} {{.Tag}}").stdout == f"{repository} <none>\n"


def test_push_says_what_docker_says_and_skopeo_reads_it(own_box: Box, registry: Registry, tmp_path: Path) -> None:
    name = f"{registry.domain}/{own_box.root.mark}/made:2"
    with own_box.to_be_removed() as container:
        own_box.done("run", "--name", container, BUSYBOX, "sh", "-c", "echo one more layer >/file")
        own_box.done("commit", container, name)
    shown = own_box.done("push", name).stdout
    assert re.fullmatch(r"2: digest: sha256:[0-9a-f]{64} size: \d+\n", shown)
    assert own_box.done("image", "push", "-q", name).stdout == f"{name}\n"
    copy(f"docker://{name}", f"docker-archive:{tmp_path / 'copy.tar'}:copied:1")
    own_box.done("load", "-i", tmp_path / "copy.tar")
    assert own_box.done("run", "--rm", "copied:1", "cat", "/file").stdout == "one more layer\n"


def test_layers_are_compressed_when_they_are_first_pushed(own_box: Box, registry: Registry) -> None:
    """And then the same ever after; the image keeps its ID, its files, and in other registries its digest."""
    name, other = (f"{registry.domain}/{own_box.root.mark}/{last}" for last in ("packed:1", "twice:1"))
    with own_box.to_be_removed() as container:
        own_box.done("run", "--name", container, BUSYBOX, "sh", "-c", "dd if=/dev/zero of=/zeros bs=1M count=20")
        identity = own_box.done("commit", container, name).stdout
    pushed = own_box.done("push", name).stdout
    own_box.done("tag", name, other)
    assert own_box.done("push", other).stdout == pushed
    inspected = own_box.done("image", "inspect", "--format", "{{.Id}} {{.Size}}", name).stdout.split()
    assert (inspected[0], int(inspected[1]) < 10 << 20) == (identity.strip(), True)
    assert own_box.done("run", "--rm", name, "wc", "-c", "/zeros").stdout.split()[0] == str(20 << 20)
    own_box.done("rmi", name, other)
    own_box.done("pull", name)
    assert own_box.done("image", "inspect", "--format", "{{.Id}}", name).stdout == identity
    assert own_box.done("push", name).stdout == pushed


def test_all_tags_of_a_repository(own_box: Box, name: str, registry: Registry) -> None:
    repository = name.removesuffix(":1")
    for tag in ("2", "v3"):
        copy(f"docker://{name}", f"docker://{repository}:{tag}")
    shown = own_box.done("pull", "--all-tags", "-q", repository).stdout.splitlines()
    assert sorted(shown) == [f"{repository}:{tag}" for tag in ("1", "2", "v3")]
    assert len(own_box.done("pull", "-a", repository).stdout.splitlines()) == 9
    refused(own_box("pull", "-a", name), "all tags are asked for")
    refused(own_box("pull", "-a", f"{registry.domain}/no-such"), "no-such")


def test_run_brings_what_is_missing(own_box: Box, name: str) -> None:
    done = own_box("run", "--rm", name, "echo", "hello")
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")
    own_box.done("rmi", name)
    with own_box.to_be_removed() as container:
        own_box.done("create", "--name", container, name, "echo", "created")
        assert own_box.done("start", "--attach", container).stdout == "created\n"


def test_what_is_not_to_be_had_is_refused_and_leaves_nothing(own_box: Box, name: str) -> None:
    nobody = f"127.0.0.1:{free_port()}/x:1"
    for command in (["pull", nobody], ["run", "--rm", nobody, "true"], ["create", nobody]):
        refused(own_box(*command), "cannot be reached: connection refused")
    for command in (["pull", f"{name}0"], ["run", "--rm", f"{name}0", "true"]):
        refused(own_box(*command), "has no image")
    refused(own_box("pull", "--platform", "linux/s390x", name), "not for linux/s390x")
    refused(own_box("run", "--platform", "linux/s390x", name), "not for linux/s390x")
    refused(own_box("pull", "--platform", "goat", name), "goat")
    refused(own_box("pull", "Not a Name"), "Not a Name")
    refused(own_box("pull", "--tls-verify", "perhaps", name), "perhaps")
    refused(own_box("push", "no-such"), "no-such")
    refused(own_box("pull", "--tls-verify=true", name), "does not speak TLS")
    assert content(own_box) == []
    assert own_box.left() == []


def test_wrong_credentials_are_refused_and_not_shown(own_box: Box, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"auths": {}}')
    with serve(tmp_path, auth=accounts(tmp_path)) as registry:
        name = f"{registry.domain}/one:1"
        own_box.done("tag", BUSYBOX, name)
        refused(own_box("push", name, env={"DOCKER_CONFIG": str(tmp_path)}), "gives no access")
        for password in ("wrong one", PASSWORD):
            plain = {"username": USER, "password": password}
            (tmp_path / "config.json").write_text(f'{{"auths": {{"{registry.domain}": {plain}}}}}'.replace("'", '"'))
            done = own_box("--debug", "push", name, env={"DOCKER_CONFIG": str(tmp_path)})
            assert (done.returncode == 0) is (password == PASSWORD), done.stderr
            assert password not in done.stderr


def held(proxy: LyingProxy, size: int) -> None:
    """Let large blobs come to their half and then nothing more, for as long as nobody asks for the other half."""
    proxy.change = lambda asked, answer: (
        answer._replace(cut=len(answer.body) // 2, hold=30) if len(answer.body) > size and not asked.range else answer
    )


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_pull_that_is_killed_goes_on_where_it_was(
    own_box: Box, name: str, registry: Registry, proxy: LyingProxy, number: signal.Signals
) -> None:
    own = name.replace(registry.domain, proxy.domain)
    held(proxy, 100_000)
    pulling = own_box.root.popen("pull", own)
    partial = own_box.root.root / "content/partial"
    until(lambda: partial.is_dir() and any(file.stat().st_size for file in partial.iterdir()), "half of the layer")
    time.sleep(0.2)
    before = sum(file.stat().st_size for file in partial.iterdir())
    pulling.send_signal(number)
    pulling.wait(20)
    assert pulling.returncode != 0
    assert own_box.done("images", "-q").stdout == ""
    proxy.asked.clear()
    own_box.done("pull", own)
    (asked,) = (one.range for one in proxy.blobs() if one.range)
    assert int(asked.removeprefix("bytes=").rstrip("-")) >= before > 0
    assert list(partial.iterdir()) == []
    assert own_box.done("run", "--rm", own, "echo", "whole").stdout == "whole\n"
    assert list((own_box.root.root / "content/ingest").iterdir()) == []


def test_what_a_killed_pull_left_goes_with_a_prune(
    own_box: Box, name: str, registry: Registry, proxy: LyingProxy
) -> None:
    held(proxy, 100_000)
    pulling = own_box.root.popen("pull", name.replace(registry.domain, proxy.domain))
    partial = own_box.root.root / "content/partial"
    until(lambda: partial.is_dir() and any(file.stat().st_size for file in partial.iterdir()), "half of the layer")
    os.kill(pulling.pid, signal.SIGKILL)
    pulling.wait(20)
    own_box.done("system", "prune", "--force")
    assert content(own_box) == []


def test_an_image_whose_tag_has_moved_is_dangling(own_box: Box, name: str) -> None:
    own_box.done("pull", name)
    first = own_box.done("images", "-q").stdout.strip()
    with own_box.to_be_removed() as container:
        own_box.done("run", "--name", container, name, "sh", "-c", "echo new >/new")
        own_box.done("commit", container, name)
    own_box.done("push", name)
    assert own_box.done("images", "-q", "--filter", "dangling=true").stdout.strip() == first
    own_box.done("system", "prune", "--force")
    assert first not in own_box.done("images", "-q").stdout


def test_a_layer_is_unpacked_while_the_next_one_comes(
    own_box: Box, name: str, registry: Registry, proxy: LyingProxy
) -> None:
    """The pull is killed then: the next one goes on, and what it left goes with the image."""
    with own_box.to_be_removed() as container:
        own_box.done("run", "--name", container, name, "sh", "-c", "head -c 300000 /dev/urandom >/new")
        own_box.done("commit", container, name)
    own_box.done("push", name)
    own_box.done("system", "prune", "--all", "--force")
    layers = own_box.root.root / "storage" / "overlay" / "committed"
    assert list(layers.iterdir()) == []
    own = name.replace(registry.domain, proxy.domain)
    proxy.change = lambda asked, answer: (
        answer._replace(cut=200_000, hold=30) if 300_000 < len(answer.body) < 600_000 and not asked.range else answer
    )
    pulling = own_box.root.popen("pull", own)
    until(lambda: list(layers.iterdir()), "the lower layer unpacked")
    assert pulling.poll() is None
    pulling.kill()
    pulling.wait(20)
    (lower,) = layers.iterdir()
    own_box.done("pull", own)
    assert lower in layers.iterdir()
    assert own_box.done("run", "--rm", own, "wc", "-c", "/new").stdout.split()[0] == "300000"
    own_box.done("rmi", own)
    assert list(layers.iterdir()) == []
    assert content(own_box) == []
