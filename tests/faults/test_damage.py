"""What cannot be taken back is said, once a command, and holds nobody up."""

from __future__ import annotations

from tests.machine.engine_root import EngineRoot


def test_a_journal_that_cannot_be_read_is_named_and_holds_nobody_up(engine_root: EngineRoot) -> None:
    engine_root.run("run", "--rm", "host:", "true")
    left = engine_root.state / "containers" / ("c0ffee" * 10)
    left.mkdir()
    (left / "journal").write_text('{"do": "Nothing", "phase": 0, "plugin": ""}\n')
    done = engine_root.run("run", "--rm", "host:", "echo", "works")
    assert (done.returncode, done.stdout) == (0, "works\n")
    assert "journal" in done.stderr
    assert left.is_dir(), "what nobody understands is nobody's to remove"
    (left / "journal").write_text("cut sho")
    done = engine_root.run("run", "--rm", "host:", "true")
    assert (done.returncode, done.stderr) == (0, "")
    assert not left.exists()
