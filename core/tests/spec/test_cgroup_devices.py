"""An ordered list of device rules becomes one policy, or is refused; never is more allowed than was asked."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from engine.errors import InvalidInput, Unsupported
from engine.spec.cgroup_devices import ACCESS, ANY, Device, Policy, of_v1_list, policy, v1, v1_difference

DENY_ALL: dict[str, Any] = {"allow": False, "access": "rwm"}
ALLOW_ALL: dict[str, Any] = {"allow": True, "access": "rwm"}
NULL, ZERO = Device("c", 1, 3), Device("c", 1, 5)


def rule(allow: bool, kind: str, major: int | None, minor: int | None, access: str = ACCESS) -> dict[str, Any]:
    return {"allow": allow, "type": kind, "major": major, "minor": minor, "access": access}


def made(*rules: dict[str, Any]) -> Policy:
    return policy(rules)  # type: ignore[arg-type]


def decides(rules: tuple[dict[str, Any], ...], device: Device, letter: str) -> bool:
    """The specification's own words: the last rule that matches decides; denied when none does."""
    answer = False
    for one in rules:
        kind = one.get("type") or "a"
        numbers = ((one.get("major"), device.major), (one.get("minor"), device.minor))
        if (
            kind in ("a", device.type)
            and letter in one.get("access", ACCESS)
            and all(wanted in (None, ANY, number) for wanted, number in numbers)
        ):
            answer = one["allow"]
    return answer


def allows(wanted: Policy, device: Device, letter: str) -> bool:
    return wanted.allow != any(other.covers(device) and letter in access for other, access in wanted.exceptions)


def test_a_list_of_what_is_allowed() -> None:
    found = made(DENY_ALL, rule(True, "c", 1, 3), rule(True, "c", 136, None, "rw"), rule(True, "c", 1, 3, "r"))
    assert found == Policy(False, ((NULL, "rwm"), (Device("c", 136, ANY), "rw")))
    assert found.text() == "none except c 1:3 rwm, c 136:* rw"


def test_the_last_rule_about_everything_begins_anew() -> None:
    assert made(rule(True, "c", 1, 3), ALLOW_ALL) == Policy(True, ())
    assert made(ALLOW_ALL, DENY_ALL) == Policy(False, ())


def test_what_was_allowed_can_be_taken_back_whole() -> None:
    assert made(DENY_ALL, rule(True, "c", 1, 3), rule(False, "c", 1, 3, "w")).exceptions == ((NULL, "rm"),)
    assert made(DENY_ALL, rule(True, "c", 1, 3), rule(False, "c", 1, None)).exceptions == ()


def test_a_part_of_a_wildcard_cannot_be_taken_back() -> None:
    with pytest.raises(Unsupported, match=r"devices\[2\] takes c 10:200 out of c 10:\*"):
        made(DENY_ALL, rule(True, "c", 10, None), rule(False, "c", 10, 200))
    with pytest.raises(Unsupported):
        made(ALLOW_ALL, rule(False, "c", 10, None), rule(True, "c", 10, 200))


@pytest.mark.parametrize("wrong", [{"type": "x"}, {"access": "rx"}, {"major": -7}], ids=str)
def test_nonsense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=r"devices\[0\]"):
        made({**rule(True, "c", 1, 3), **wrong})


def test_some_accesses_to_every_device_are_refused() -> None:
    with pytest.raises(Unsupported):
        made({"allow": True, "type": "a", "access": "r"})


def test_no_list_of_three_rules_allows_more_or_less_than_it_says() -> None:
    """Every list of up to three rules out of these is either refused or decides each access as the list does."""
    choices = [DENY_ALL, ALLOW_ALL]
    choices += [
        rule(allow, "c", major, minor, access)
        for allow in (True, False)
        for major, minor in ((1, 3), (1, None), (None, None))
        for access in ("rwm", "r")
    ]
    probes = [*itertools.product((NULL, ZERO, Device("c", 5, 0), Device("b", 1, 3)), ACCESS)]
    refused = 0
    for rules in itertools.chain.from_iterable(itertools.product(choices, repeat=length) for length in (1, 2, 3)):
        try:
            found = made(*rules)
        except Unsupported:
            refused += 1
            continue
        for device, letter in probes:
            assert allows(found, device, letter) == decides(rules, device, letter), (rules, device, letter)
    assert refused


def test_v1_forgets_what_was_inherited_first() -> None:
    writes = [(one.file, one.value) for one in v1(Policy(False, ((NULL, "rwm"), (Device("b", ANY, ANY), "m"))))]
    assert writes == [("devices.deny", "a"), ("devices.allow", "c 1:3 rwm"), ("devices.allow", "b *:* m")]
    writes = [(one.file, one.value) for one in v1(Policy(True, ((NULL, "w"),)))]
    assert writes == [("devices.allow", "a"), ("devices.deny", "c 1:3 w")]


def test_a_running_group_never_loses_what_it_keeps() -> None:
    present = Policy(False, ((NULL, "rwm"), (ZERO, "rwm")))
    wanted = Policy(False, ((NULL, "rwm"), (ZERO, "r"), (Device("c", 1, 7), "rw")))
    writes = [(one.file, one.value) for one in v1_difference(wanted, present)]
    assert writes == [("devices.allow", "c 1:7 rw"), ("devices.deny", "c 1:5 wm")]


def test_the_kernel_s_own_list_is_read_back() -> None:
    wanted = Policy(False, ((NULL, "rwm"), (Device("b", ANY, ANY), "m")))
    assert of_v1_list("c 1:3 rwm\nb *:* m\n") == wanted
    assert of_v1_list("a *:* rwm\n") == Policy(True, ())
