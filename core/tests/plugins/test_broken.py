"""A plugin that is broken, in each way there is: named with its distribution and its fault, and nobody else suffers."""

from __future__ import annotations

import pytest

from core.tests.plugins.conftest import LOG_PLUGIN, Site

USE = """
    import json
    from engine import plugins
    from engine.contracts.logs import LogConfig
    from engine.errors import EngineError

    def ask(name):
        try:
            return type(plugins.driver("log", name, LogConfig({}))).__name__, ""
        except EngineError as error:
            return type(error).__name__, f"{error} | {error.fix}"

    print(json.dumps([ask("bad"), ask("json-file"), ask("auto")]))
"""

HOOK = "@hookimpl\n    def log_driver(config):\n        return Driver()"

FAULTS = {
    "does-not-import": ("contract = 1", "import no_such_module_anywhere", "No module named 'no_such_module_anywhere'"),
    "syntax": ("contract = 1", "contract = = 1", "SyntaxError"),
    "exits-at-import": ("contract = 1", "raise SystemExit(3)", "SystemExit: 3"),
    "misses-a-method": ("def sink_arguments", "def sink_argument", "sink_arguments"),
    "hook-that-is-none": (HOOK, HOOK + "\n\n    @hookimpl\n    def log_drivr(config):\n        pass", "log_drivr"),
    "no-hook": (HOOK, "", "does not implement the hook log_driver"),
    "unmarked-hook": ("@hookimpl", "", "lacks @hookimpl"),
    "unknown-argument": ("log_driver(config)", "log_driver(config, more)", "more"),
    "no-contract": ("contract = 1", "", "states no contract version"),
    "contract-of-text": ("contract = 1", "contract = '1'", "states no contract version"),
    "contract-of-the-future": ("contract = 1", "contract = 3", "written for contract version 3, and this engine has 1"),
    "contract-too-old": ("contract = 1", "contract = -1", "written for contract version -1, and this engine has 1"),
    "hook-raises": ("return Driver()", "return 1 / 0", "its hook log_driver raised ZeroDivisionError"),
    "hook-exits": ("return Driver()", "raise SystemExit", "its hook log_driver raised SystemExit"),
    "answer-of-another-kind": ("return Driver()", "return object()", "returned object, which is no LogDriver"),
    "no-answer": ("return Driver()", "return None", "returned NoneType, which is no LogDriver"),
}


def faulty(old: str, new: str) -> str:
    assert old in LOG_PLUGIN
    return LOG_PLUGIN.replace(old, new)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_and_stays_its_own(site: Site, fault: str) -> None:
    old, new, said = FAULTS[fault]
    site.add("acme-logs", {"log/bad": "acme_logs"}, "2.5", acme_logs=faulty(old, new))
    (kind, text), other, auto = site.python(USE)
    assert kind == "PluginError"
    assert "log plugin bad (acme-logs 2.5)" in text
    assert said in text
    assert not text.endswith("| ")
    assert other == auto == ["JsonFileDriver", ""]


@pytest.mark.parametrize("fault", FAULTS)
def test_the_report_shows_it_beside_the_others(site: Site, fault: str) -> None:
    old, new, said = FAULTS[fault]
    site.add("acme-logs", {"log/bad": "acme_logs"}, "2.5", acme_logs=faulty(old, new))
    rows = site.report()
    assert rows["log/bad"]["Usable"] == "broken"
    assert rows["log/bad"]["Distribution"] == "acme-logs"
    assert rows["log/bad"]["Version"] == "2.5"
    assert said in rows["log/bad"]["Reason"]
    assert rows["log/bad"]["Fix"]
    assert rows["log/json-file"]["Auto"] == "yes"
    assert rows["storage/overlay"]["Usable"] != "broken"


def test_an_entry_point_without_its_module_is_named(site: Site) -> None:
    site.add("acme-logs", {"log/bad": "acme_logs.plugin"})
    (kind, text), *_others = site.python(USE)
    assert kind == "PluginError"
    assert "importing acme_logs.plugin raised ModuleNotFoundError" in text


def test_the_version_before_works_with_a_warning(site: Site) -> None:
    site.add("acme-logs", {"log/old": "acme_logs"}, acme_logs=faulty("contract = 1", "contract = 0"))
    row = site.report()["log/old"]
    assert row["Usable"] == "yes"
    assert "written for contract version 0, and this engine has 1" in row["Warning"]
    warned = site.python(
        """
        import contextlib, io, json
        from engine import plugins
        from engine.contracts.logs import LogConfig
        with contextlib.redirect_stderr(io.StringIO()) as said:
            plugins.driver("log", "old", LogConfig({}))
            plugins.driver("log", "old", LogConfig({}))
        print(json.dumps(said.getvalue()))
        """
    )
    assert warned.count("\n") == 1
    assert "log plugin old (acme-logs 1.0)" in warned


def test_a_name_taken_twice_is_refused_when_used_and_only_then(site: Site) -> None:
    site.add("acme-logs", {"log/bad": "acme_logs"}, acme_logs=LOG_PLUGIN)
    site.add("zeta-logs", {"log/bad": "zeta_logs"}, "3.0", zeta_logs=LOG_PLUGIN)
    (kind, text), other, auto = site.python(USE)
    assert kind == "PluginError"
    assert "'bad' is taken twice: by acme-logs 1.0 and zeta-logs 3.0" in text
    assert other == auto == ["JsonFileDriver", ""]
    result = site.engine("plugins", "--format", "{{.Kind}}/{{.Name}} {{.Distribution}} {{.Usable}}")
    assert "log/bad acme-logs broken" in result.stdout
    assert "log/bad zeta-logs broken" in result.stdout


def test_a_name_of_ours_taken_by_another_leaves_the_other_kinds_alone(site: Site) -> None:
    site.add("acme-logs", {"log/json-file": "acme_logs"}, acme_logs=LOG_PLUGIN)
    rows = site.report()
    assert rows["log/none"]["Auto"] == "yes"
    assert rows["runtime/native"]["Auto"] == "yes"


def test_the_same_name_in_two_kinds_is_no_conflict(site: Site) -> None:
    site.add("acme-logs", {"log/overlay": "acme_logs"}, acme_logs=LOG_PLUGIN)
    assert site.report()["log/overlay"]["Usable"] == "yes"


def test_an_option_that_makes_no_sense_is_the_users_fault(site: Site) -> None:
    source = (
        faulty("return Driver()", "raise InvalidInput('there is no option x')")
        + "\n    from engine.errors import InvalidInput\n"
    )
    site.add("acme-logs", {"log/bad": "acme_logs"}, acme_logs=source)
    (kind, text), *_others = site.python(USE)
    assert kind == "InvalidInput"
    assert text.startswith("there is no option x")


def test_a_place_that_cannot_be_made_is_not_the_plugins_fault(site: Site) -> None:
    site.environment["ENGINE_ROOT"] = "/proc/nowhere"
    row = site.report()["storage/overlay"]
    assert row["Usable"] == "no"
    assert "/proc/nowhere" in row["Reason"]
    assert "--root" in row["Fix"]
