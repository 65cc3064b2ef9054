from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from engine.errors import InvalidInput
from engine.linux import identity

PASSWD = b"""# a comment:x:9:9::/:/bin/sh
root:x:0:0:root:/root:/bin/sh

broken
nobody:x:none:5::/:/bin/sh
negative:x:-5:5::/:/bin/sh
+nis:x:77:77::/:/bin/sh
huge:x:99999999999999999999999:1::/:/bin/sh
app:x:1000:1001::/home/app:/bin/sh
app:x:2000:2001::/second:/bin/sh
1000:x:3000:3000::/number:/bin/sh
bare:x:4000:4001
\xff\xfe:x:5000:5000::/:/bin/sh
last:x:6000:6000::/last:/bin/sh"""

GROUP = b"""root:x:0:
broken:x
bad:x:x:app
app:x:1001:
wheel:x:10:root,app
audio:x:20:app , last
wheel:x:30:app
1000:x:40:
"""


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("", (0, 0, (10,), "/root")),
        ("root", (0, 0, (10,), "/root")),
        ("0", (0, 0, (10,), "/root")),
        ("app", (1000, 1001, (10, 20, 30), "/home/app")),
        ("1000", (1000, 1001, (10, 20, 30), "/home/app")),
        ("1234", (1234, 0, (), "/")),
        ("1234:4321", (1234, 4321, (), "/")),
        ("app:wheel", (1000, 10, (), "/home/app")),
        ("app:55", (1000, 55, (), "/home/app")),
        ("app:1000", (1000, 1000, (), "/home/app")),
        (":wheel", (0, 10, (), "/root")),
        ("app:", (1000, 1001, (10, 20, 30), "/home/app")),
        ("bare", (4000, 4001, (), "/")),
        ("last", (6000, 6000, (20,), "/last")),
        ("2147483647", (2147483647, 0, (), "/")),
    ],
)
def test_dockers_rules(spec: str, expected: tuple[Any, ...]) -> None:
    assert identity.lookup_user(PASSWD, GROUP, spec) == expected


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("missing", "has no user 'missing'"),
        ("app:missing", "has no group 'missing'"),
        ("nobody", "no user"),
        ("negative", "no user"),
        ("+nis", "no user"),
        ("huge", "no user"),
        ("-1", "not a valid"),
        ("2147483648", "not a valid"),
        ("app:-1", "not a valid"),
        ("1_000", "no user"),
        (" 0", "no user"),
        ("\u0660", "no user"),
        ("99999999999999999999999999", "no user"),
    ],
)
def test_what_is_refused(spec: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        identity.lookup_user(PASSWD, GROUP, spec)
    assert caught.value.fix


def test_empty_files_have_root_all_the_same() -> None:
    assert identity.lookup_user(b"", b"", "") == (0, 0, (), "/")


def test_all_three_ids_and_the_groups_change(in_child: Callable[..., Any]) -> None:
    def body() -> list[Any]:
        identity.set_ids(1000, 1001, (5, 6))
        return [os.getresuid(), os.getresgid(), os.getgroups()]

    assert in_child(body) == [[1000] * 3, [1001] * 3, [5, 6]]
