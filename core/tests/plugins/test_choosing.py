"""Which driver is taken, and what is said about it."""

from __future__ import annotations

import textwrap

from core.tests.plugins.conftest import LOG_PLUGIN, Site

CHOOSE = """
    import json
    from engine import plugins
    from engine.contracts.logs import LogConfig
    from engine.errors import EngineError

    asked = []

    def config(name):
        asked.append(name)
        return LogConfig({})

    try:
        chosen = plugins.choose("log", REQUESTED, config, scope="here")
        answer = [chosen.name, chosen.reason]
    except EngineError as error:
        answer = [type(error).__name__, f"{error} | {error.fix}"]
    print(json.dumps([*answer, asked]))
"""


def choose(site: Site, requested: str = "auto") -> tuple[str, str, list[str]]:
    name, reason, asked = site.python(CHOOSE.replace("REQUESTED", repr(requested)))
    return name, reason, asked


def plugin(usable: bool, reason: str, preference: int) -> str:
    return LOG_PLUGIN.replace('True, "made for a test", 1', f"{usable}, {reason!r}, {preference}")


def test_auto_takes_the_usable_one_of_highest_preference_and_says_why(site: Site) -> None:
    site.add("acme-a", {"log/best": "acme_a"}, acme_a=plugin(True, "a fine day", 90))
    site.add("acme-b", {"log/better": "acme_b"}, acme_b=plugin(False, "the disk is made of cheese", 99))
    name, reason, _asked = choose(site)
    assert name == "best"
    assert "best has preference 90: a fine day" in reason
    assert "better (the disk is made of cheese)" in reason
    assert "json-file (preference 50)" in reason
    rows = site.report()
    assert [key for key, row in rows.items() if row["Kind"] == "log" and row["Auto"]] == ["log/best"]
    assert rows["log/better"]["Usable"] == "no"
    assert "not " in rows["log/best"]["AutoReason"]


def test_a_probe_that_raises_is_a_reason_not_to(site: Site) -> None:
    source = LOG_PLUGIN.replace('return Probe(True, "made for a test", 1)', 'raise OSError(28, "No space left")')
    site.add("acme-a", {"log/loud": "acme_a"}, acme_a=source)
    assert "loud (its probe raised OSError: [Errno 28] No space left)" in choose(site)[1]


def test_a_probe_that_answers_nonsense_is_a_reason_not_to(site: Site) -> None:
    site.add("acme-a", {"log/odd": "acme_a"}, acme_a=LOG_PLUGIN.replace('Probe(True, "made for a test", 1)', "True"))
    assert "probe() of odd (acme-a 1.0) returned bool instead of a Probe" in choose(site)[1]


def test_when_none_is_usable_each_is_named_with_its_reason(site: Site) -> None:
    site.add("acme-a", {"observer/a": "acme_a"}, acme_a="")
    result = site.python(
        """
        import json
        from engine import plugins
        from engine.plugins import index
        from engine.contracts.common import Probe
        from engine.contracts.logs import LogConfig
        from engine.errors import EngineError
        for name in ("json-file", "none"):
            driver = type(plugins.driver("log", name, LogConfig({})))
            driver.probe = lambda self, name=name: Probe(False, f"{name} is on holiday")
        try:
            plugins.driver("log", "auto", LogConfig({}))
        except EngineError as error:
            print(json.dumps([type(error).__name__, str(error), error.fix]))
        """
    )
    assert result[0] == "Unsupported"
    assert "json-file (engine-log-json-file 0.1.0): json-file is on holiday" in result[1]
    assert "none (engine-log-json-file 0.1.0): none is on holiday" in result[1]
    assert "engine plugins" in result[2]


def test_one_asked_for_by_name_is_taken_whatever_its_preference(site: Site) -> None:
    assert choose(site, "none") == ("none", "asked for by name", ["none"])


def test_a_name_that_is_not_installed_names_those_that_are(site: Site) -> None:
    kind, text, _asked = choose(site, "jsonfile")
    assert kind == "NotFound"
    assert "no log plugin named 'jsonfile' is installed | Installed are json-file, none." in text


def test_auto_stays_with_what_it_took_and_asks_nobody_again(site: Site) -> None:
    site.settle()
    assert sorted(choose(site)[2]) == ["json-file", "none"]
    name, reason, asked = choose(site)
    assert (name, asked) == ("json-file", ["json-file"])
    assert "as before" in reason


def test_auto_looks_again_when_a_plugin_comes(site: Site) -> None:
    site.settle()
    choose(site)
    site.add("acme-a", {"log/best": "acme_a"}, acme_a=plugin(True, "a fine day", 90))
    assert choose(site)[0] == "best"


def test_auto_changes_its_mind_when_somebody_looks(site: Site) -> None:
    """What it took is no longer usable: `engine plugins` says so, and from then on another one is taken."""
    site.add("acme-a", {"log/best": "acme_a"}, acme_a=plugin(True, "a fine day", 90))
    site.settle()
    program = CHOOSE.replace("REQUESTED", "'auto'").replace(
        'scope="here"', f"scope={site.environment['ENGINE_ROOT']!r}"
    )
    assert site.python(program)[0] == "best"
    (site.path / "acme_a.py").write_text(textwrap.dedent(plugin(False, "rain", 90)))
    assert site.python(program)[0] == "best"
    assert site.report()["log/best"]["Reason"] == "rain"
    assert site.python(program)[0] == "json-file"
