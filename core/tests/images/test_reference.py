"""Names of images, as Docker reads and shows them."""

from __future__ import annotations

import pytest

from engine.errors import InvalidInput
from engine.images.reference import id_prefix, parse, parse_canonical

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("typed", "canonical", "familiar"),
    [
        ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
        ("me/app", "docker.io/me/app:latest", "me/app:latest"),
        ("docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("index.docker.io/library/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("ghcr.io/me/app:v1", "ghcr.io/me/app:v1", "ghcr.io/me/app:v1"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("localhost:5000/app", "localhost:5000/app:latest", "localhost:5000/app:latest"),
        ("[::1]:5000/app:x", "[::1]:5000/app:x", "[::1]:5000/app:x"),
        (f"busybox@{DIGEST}", f"docker.io/library/busybox@{DIGEST}", f"busybox@{DIGEST}"),
        (f"a/b:c@{DIGEST}", f"docker.io/a/b:c@{DIGEST}", f"a/b:c@{DIGEST}"),
        ("docker.io/library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
        ("a__b/c-d--e.f", "docker.io/a__b/c-d--e.f:latest", "a__b/c-d--e.f:latest"),
        ("host", "docker.io/library/host:latest", "host:latest"),
    ],
)
def test_names_have_a_canonical_and_a_familiar_form(typed: str, canonical: str, familiar: str) -> None:
    reference = parse(typed)
    assert (reference.canonical, reference.familiar) == (canonical, familiar)
    assert parse_canonical(canonical) == reference
    assert parse(familiar) == reference


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("", "no path"),
        ("Busybox", "lower case"),
        ("me/App", "lower case"),
        ("busybox:", "cannot be a tag"),
        ("busybox:-x", "cannot be a tag"),
        ("busybox:" + "x" * 129, "cannot be a tag"),
        ("busybox@sha256:abc", "not a digest"),
        ("busybox@", "not a digest"),
        (f"busybox@{DIGEST.upper()}", "not a digest"),
        ("a//b", "path"),
        ("/a", "path"),
        ("a/", "path"),
        ("../etc", "registry"),
        ("a..b/c", "registry"),
        ("a/../b", "path"),
        ("a b", "path"),
        ("a\n", "path"),
        ("a\0b", "path"),
        ("-a", "path"),
        ("a___b", "path"),
        ("ab" * 32, "ID"),
        ("x" * 300, "longer"),
        ("https://ghcr.io/a", "registry"),
        ("host:", "own root filesystem"),
    ],
)
def test_what_is_no_name_says_why(typed: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as caught:
        parse(typed)
    assert caught.value.fix


def test_a_hostile_name_is_refused_at_once() -> None:
    with pytest.raises(InvalidInput):
        parse("a" * 200 + "-" * 100_000)


@pytest.mark.parametrize(
    ("typed", "digits"),
    [("sha256:abcd", "abcd"), ("abcd", "abcd"), ("abc", None), ("ABCD", None), ("xyz0", None), ("ab" * 32, "ab" * 32)],
)
def test_what_can_be_an_id(typed: str, digits: str | None) -> None:
    assert id_prefix(typed) == digits
