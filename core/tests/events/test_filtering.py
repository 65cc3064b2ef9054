from __future__ import annotations

import pytest

from engine.contracts.observer import Event, Topic
from engine.errors import InvalidInput
from engine.events import filtering

NAMED = {"name": "web", "image": "me/app:2", "team": "x"}
DIE = Event(1, "container", Topic.DIE, "abcdef", NAMED)
SICK = Event(1, "container", Topic.HEALTH_STATUS, "abcdef", NAMED, "unhealthy")
TAG = Event(1, "image", Topic.TAG, "sha256:0123", {"name": "me/app:2"})


@pytest.mark.parametrize(
    ("filters", "fitting"),
    [
        ({}, [DIE, SICK, TAG]),
        ({"type": ["image"]}, [TAG]),
        ({"type": ["image", "container"]}, [DIE, SICK, TAG]),
        ({"event": ["die"]}, [DIE]),
        ({"event": ["die", "tag"]}, [DIE, TAG]),
        ({"event": ["health_status"]}, [SICK]),
        ({"event": ["health_status: unhealthy"]}, [SICK]),
        ({"event": ["health_status: healthy"]}, []),
        ({"container": ["web"]}, [DIE, SICK]),
        ({"container": ["abc"]}, [DIE, SICK]),
        ({"container": ["we"]}, []),
        ({"container": ["0123"]}, []),
        ({"image": ["me/app"]}, [DIE, SICK, TAG]),
        ({"image": ["me/app:2"]}, [DIE, SICK, TAG]),
        ({"image": ["me/app:3"]}, []),
        ({"image": ["0123"]}, [TAG]),
        ({"image": ["sha256:01"]}, [TAG]),
        ({"label": ["team"]}, [DIE, SICK]),
        ({"label": ["team=x", "tier"]}, []),
        ({"container": ["web"], "event": ["die"]}, [DIE]),
    ],
)
def test_what_fits(filters: dict[str, list[str]], fitting: list[Event]) -> None:
    assert [one for one in (DIE, SICK, TAG) if filtering.fits(one, filters)] == fitting


@pytest.mark.parametrize("filters", [{"type": ["goat"]}, {"event": ["goat"]}, {"event": ["goat: x"]}])
def test_what_is_refused(filters: dict[str, list[str]]) -> None:
    with pytest.raises(InvalidInput, match="goat"):
        filtering.check(filters)
