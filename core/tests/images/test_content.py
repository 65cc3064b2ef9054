"""The content store, its leases, and what killed processes leave."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from core.tests.images.archives import sha256
from engine.errors import ImageError, NotFound, StateError
from engine.images.content import ContentStore
from engine.images.garbage import collect
from engine.metadata.store import Store


@pytest.fixture
def content(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "content")


def files(content: ContentStore) -> list[str]:
    return sorted(str(path.relative_to(content.root)) for path in content.root.rglob("*") if path.is_file())


def killed(work: Callable[[], object]) -> None:
    """Run the work in a child that is killed when it waits for that."""
    ready, done = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os.write(done, b"x")
            signal.pause()
        finally:
            os._exit(1)
    os.close(done)
    assert os.read(ready, 1) == b"x"
    os.close(ready)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_a_blob_is_kept_under_its_digest(content: ContentStore) -> None:
    with content.ingest() as ingest:
        ingest.write(b"hello ")
        ingest.write(memoryview(b"world"))
        blob = ingest.commit(digest=sha256(b"hello world"), size=11)
    assert content.read(blob.digest) == b"hello world"
    assert content.info(blob.digest) == blob
    assert list(content.blobs()) == [blob]
    assert content.path(blob.digest).stat().st_mode & 0o777 == 0o400
    assert files(content) == [f"blobs/sha256/{blob.digest[7:]}"]
    content.remove(blob.digest)
    content.remove(blob.digest)
    with pytest.raises(NotFound):
        content.open(blob.digest)


@pytest.mark.parametrize(
    ("promise", "reason"),
    [({"digest": sha256(b"other")}, "should have the digest"), ({"size": 4}, "more than 4"), ({"size": 6}, "5 bytes")],
)
def test_what_is_not_as_promised_is_not_kept(content: ContentStore, promise: dict[str, object], reason: str) -> None:
    with content.ingest() as ingest:
        ingest.write(b"bytes")
        with pytest.raises(ImageError, match=reason):
            ingest.commit(**promise)  # type: ignore[arg-type]
    assert files(content) == []


def test_an_error_in_between_leaves_nothing(content: ContentStore) -> None:
    def fail() -> None:
        with content.ingest() as ingest:
            ingest.write(b"bytes")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert files(content) == []


def test_damage_on_disk_is_found_and_mended_by_writing_again(content: ContentStore) -> None:
    blob = content.add(b"document")
    place = content.path(blob.digest)
    place.chmod(0o600)
    place.write_bytes(b"damaged!")
    with pytest.raises(StateError, match="damaged"):
        content.read(blob.digest)
    assert not content.verify(blob.digest)
    place.write_bytes(b"short")
    with pytest.raises(StateError, match="5 bytes instead of 8"):
        content.open(blob.digest, 8)
    content.add(b"document")
    assert content.read(blob.digest) == b"document"


@pytest.mark.parametrize("name", ["sha256:../../etc/passwd", "sha256:" + "A" * 64, "md5:" + "0" * 32, ""])
def test_a_digest_is_never_a_path(content: ContentStore, name: str) -> None:
    with pytest.raises(StateError, match="not a sha256 digest"):
        content.open(name)


def test_only_the_ingests_of_dead_processes_are_removed(content: ContentStore) -> None:
    def begin() -> None:
        begun = content.ingest()
        begun.__enter__().write(b"half")
        kept.append(begun)

    kept: list[object] = []
    killed(begin)
    with content.ingest() as ingest:
        ingest.write(b"mine")
        assert len(list((content.root / "ingest").iterdir())) == 2
        assert content.remove_abandoned() == 1
        blob = ingest.commit()
    assert files(content) == [f"blobs/sha256/{blob.digest[7:]}"]


def test_a_lease_keeps_a_blob_from_the_collection(content: ContentStore, store: Store) -> None:
    with content.leases.take() as lease:
        lease.protect(sha256(b"leased"))
        content.add(b"leased")
        content.add(b"not leased")
        assert collect(content, store.connection, {}).blobs == 1
        assert content.info(sha256(b"leased")) is not None
    assert collect(content, store.connection, {}).blobs == 1
    assert files(content) == ["gc.lock"]


def test_the_lease_of_a_dead_process_keeps_nothing(content: ContentStore, store: Store) -> None:
    def begin() -> None:
        taken = content.leases.take()
        lease = taken.__enter__()
        lease.protect(content.add(b"leased").digest)
        kept.append(taken)

    kept: list[object] = []
    killed(begin)
    assert len(list((content.root / "leases").iterdir())) == 1
    assert collect(content, store.connection, {}).blobs == 1
    assert files(content) == ["gc.lock"]


def test_ingests_and_collections_at_the_same_time_lose_nothing(content: ContentStore, store: Store) -> None:
    failures: list[BaseException] = []

    def ingest(number: int) -> None:
        try:
            for turn in range(30):
                data = b"%d %d" % (number, turn // 3)
                with content.leases.take() as lease:
                    lease.protect(sha256(data))
                    if content.info(sha256(data)) is None:
                        content.add(data)
                    assert content.read(sha256(data)) == data
        except Exception as error:  # noqa: BLE001  # shown below
            failures.append(error)

    threads = [threading.Thread(target=ingest, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        collect(content, store.connection, {})
    assert failures == []


def test_nothing_is_promised_while_a_collection_sweeps(content: ContentStore) -> None:
    with content.leases.take() as lease:
        promise = threading.Thread(target=lease.protect, args=(sha256(b"blob"),))
        with content.leases.collecting() as leased:
            promise.start()
            promise.join(0.2)
            assert promise.is_alive()
            assert leased == frozenset()
        promise.join(10)
        with content.leases.collecting() as leased:
            assert leased == {sha256(b"blob")}


def test_a_blob_that_goes_while_they_are_listed_is_left_out(content: ContentStore) -> None:
    digests = {content.add(bytes([number])).digest for number in range(3)}
    listed = content.blobs()
    first = next(listed).digest
    for digest in digests - {first}:
        content.remove(digest)
    assert list(listed) == []
