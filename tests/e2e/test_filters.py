"""`ps --filter` and `images --filter`: what is listed, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from tests.e2e.box import Box, Container, refused


class Scene(NamedTuple):
    """Three containers: one runs, one is paused, one has ended; and images built on each other."""

    box: Box
    web: Container
    db: Container
    ended: str

    def listed(self, *flags: str) -> set[str]:
        """Return which of the three `ps` lists, by what they are."""
        names = {self.web.name: "web", self.db.name: "db", self.ended: "ended"}
        return {names[name] for name in self.box.done("ps", "--format", "{{.Names}}", *flags).stdout.split()}


@contextmanager
def scene(box: Box) -> Iterator[Scene]:
    labels = ("--label", "team=x", "--label", "tier=front")
    with box.container(*labels) as web, box.container("--label", "team=y") as db, box.to_be_removed() as ended:
        box.done("run", "--name", ended, "--label", "team=x", box.image, "true")
        box.done("pause", db.name)
        yield Scene(box, web, db, ended)


def test_ps_by_name_id_status_and_label(box: Box) -> None:
    with scene(box) as found:
        web, db = found.web, found.db
        known = web.inspect()["Id"]
        cases: list[tuple[list[str], set[str]]] = [
            ([f"name={web.name}"], {"web"}),
            ([f"name=^{web.name}$"], {"web"}),
            ([f"name=^/{web.name}$"], {"web"}),
            ([f"name={web.name[:-1]}$"], set()),
            ([f"name={web.name}", f"name={db.name}"], {"web", "db"}),
            ([f"id={known[:10]}"], {"web"}),
            ([f"id={known[1:10]}"], set()),
            (["status=running"], {"web"}),
            (["status=paused"], {"db"}),
            (["status=exited"], {"ended"}),
            (["status=exited", "status=paused"], {"db", "ended"}),
            (["label=team"], {"web", "db"}),
            (["label=team=x"], {"web"}),
            (["label=team=x", "label=tier"], {"web"}),
            (["label=team=y", "label=tier"], set()),
            (["label=team=x", "status=exited"], {"ended"}),
        ]
        for filters, expected in cases:
            assert found.listed(*(f"--filter={one}" for one in filters)) == expected, filters
        assert found.listed("--all", "--filter", "label=team=x") == {"web", "ended"}
        short = box.done("ps", "--quiet", "-f", f"name={web.name}").stdout
        assert short == f"{known[:12]}\n"


def test_ps_by_the_image_that_a_container_is_made_of_or_built_on(box: Box) -> None:
    with scene(box) as found:
        box.done("tag", box.image, "twin:1")
        try:
            image = found.web.inspect()["Image"]
            for ancestor in (box.image, f"{box.image}:latest", "twin:1", image, image.removeprefix("sha256:")[:12]):
                assert found.listed("--filter", f"ancestor={ancestor}") == {"web", "db"}, ancestor
            for ancestor in ("host:", "no-such-image", "Not a Name"):
                assert found.listed("--filter", f"ancestor={ancestor}") == set(), ancestor
        finally:
            box.done("rmi", "twin:1")
        with box.container(image="host:") as on_host:
            assert box.done("ps", "--format", "{{.Names}}", "--filter", "ancestor=host:").stdout == f"{on_host.name}\n"


def test_an_image_built_on_another_has_it_as_ancestor(own_box: Box) -> None:
    with own_box.to_be_removed() as name:
        own_box.done("run", "--name", name, own_box.image, "touch", "/new")
        own_box.done("commit", name, "child:1")
        with own_box.container(image="child:1") as child:
            shown = own_box.done("ps", "--format", "{{.Names}}", "--filter", f"ancestor={own_box.image}").stdout
            assert shown == f"{child.name}\n"
            shown = own_box.done("ps", "--all", "--format", "{{.Names}}", "--filter", "ancestor=child:1").stdout
            assert shown == f"{child.name}\n"


@pytest.mark.parametrize(
    ("command", "text", "what"),
    [
        ("ps", "name", "'name' is not of the form KEY=VALUE"),
        ("ps", "name=", "is not of the form KEY=VALUE"),
        ("ps", "colour=red", "nothing to filter by 'colour'"),
        ("ps", "name=(", "is no regular expression"),
        ("ps", "status=asleep", "there is no status 'asleep'"),
        ("images", "status=running", "nothing to filter by 'status'"),
        ("images", "dangling=maybe", "is neither true nor false"),
    ],
)
def test_what_is_no_filter(command: str, text: str, what: str, box: Box) -> None:
    refused(box(command, "--filter", text), what)


def test_images_by_name_label_and_the_lack_of_one(own_box: Box) -> None:
    box = own_box
    box.done("tag", box.image, "me/app:1")
    box.done("tag", box.image, "me/app:2")
    with box.to_be_removed() as name:
        box.done("create", "--name", name, "me/app:1", "true")
        box.done("commit", "--change", "LABEL team=x", name, "labelled")
        box.done("commit", "--change", "LABEL team=y", name, "other")
        box.done("rmi", "--force", "other")

    def listed(*filters: str) -> set[str]:
        words = ["images", "--format", "{{.Repository}}:{{.Tag}}", *(word for one in filters for word in ("-f", one))]
        return set(box.done(*words).stdout.split())

    assert listed("reference=me/app") == {"me/app:1", "me/app:2"}
    assert listed("reference=me/*:2") == {"me/app:2"}
    assert listed("reference=busy*") == {"busybox:latest"}
    assert listed("reference=*") == {"busybox:latest", "labelled:latest"}
    assert listed("reference=me/app:1", "reference=labelled") == {"me/app:1", "labelled:latest"}
    assert listed("label=team") == listed("label=team=x") == {"labelled:latest"}
    assert listed("label=team=z") == set()
    assert listed("dangling=false") == {"busybox:latest", "labelled:latest", "me/app:1", "me/app:2"}
    assert listed("dangling=true") == set()
