"""Observers are told one at a time, and none of them can take anything down."""

from __future__ import annotations

from core.tests.plugins.conftest import Site

OBSERVER = """
    from engine.hookspecs import hookimpl

    contract = 1

    @hookimpl
    def event_published(event):
        with open(PATH, "a") as file:
            file.write(f"NAME {event.topic} {event.id}\\n")
"""

PUBLISH = """
    import contextlib, io, json, sys
    from engine import plugins
    from engine.contracts.observer import Event, Topic
    with contextlib.redirect_stderr(io.StringIO()) as said:
        for topic in (Topic.CREATE, Topic.START):
            plugins.observers(Event(1, "container", topic, "c0ffee", {}))
    print(json.dumps([said.getvalue().splitlines(), "pluggy" in sys.modules]))
"""


def observer(site: Site, name: str) -> str:
    return OBSERVER.replace("PATH", repr(str(site.path / "told"))).replace("NAME", name)


def test_all_are_told_and_the_one_that_raises_is_named(site: Site) -> None:
    site.add("acme-a", {"observer/a": "acme_a"}, acme_a=observer(site, "a"))
    site.add(
        "acme-b", {"observer/b": "acme_b"}, acme_b=observer(site, "b").replace("with open", "1 / 0\n        with open")
    )
    site.add("acme-c", {"observer/c": "acme_c"}, acme_c=observer(site, "c"))
    said, _pluggy = site.python(PUBLISH)
    assert (site.path / "told").read_text().splitlines() == [
        "a create c0ffee",
        "c create c0ffee",
        "a start c0ffee",
        "c start c0ffee",
    ]
    assert len(said) == 2
    assert all("b (acme-b 1.0)" in line and "event_published" in line and "ZeroDivisionError" in line for line in said)


def test_one_that_does_not_load_is_said_once(site: Site) -> None:
    site.add("acme-a", {"observer/a": "acme_a"}, acme_a="import no_such_module_anywhere")
    site.add("acme-c", {"observer/c": "acme_c"}, acme_c=observer(site, "c"))
    said, _pluggy = site.python(PUBLISH)
    assert len(said) == 1
    assert "observer plugin a (acme-a 1.0)" in said[0]
    assert len((site.path / "told").read_text().splitlines()) == 2


def test_one_that_exits_takes_nothing_down(site: Site) -> None:
    site.add(
        "acme-a",
        {"observer/a": "acme_a"},
        acme_a=observer(site, "a").replace("with open", "raise SystemExit\n        with open"),
    )
    said, _pluggy = site.python(PUBLISH)
    assert len(said) == 2


def test_without_observers_nothing_is_imported(site: Site) -> None:
    site.settle()
    site.python(PUBLISH)
    assert site.python(PUBLISH) == [[], False]


def test_the_report_shows_them(site: Site) -> None:
    site.add("acme-a", {"observer/a": "acme_a"}, acme_a=observer(site, "a"))
    site.add("acme-b", {"observer/b": "acme_b"}, acme_b="contract = 1")
    rows = site.report()
    assert rows["observer/a"]["Usable"] == "yes"
    assert rows["observer/b"]["Usable"] == "broken"
    assert "does not implement the hook event_published" in rows["observer/b"]["Reason"]
