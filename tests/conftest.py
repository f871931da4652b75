"""What holds for every test: real peers as fixtures, and skipped tests that nobody can overlook."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator

import pytest

from tests.effort import register_profiles

pytest_plugins = ["tests.peers.fixtures"]

register_profiles()

# Fixtures that start something; `make quick` leaves the tests out that ask for one of them.
SERVERS = frozenset(
    {
        "docker_registry",
        "docker_engine",
        "nginx",
        "pierhead",
        "start_pierhead",
        "start_openbao",
        "vault",
        "chain",
        "ground",
        "browser",
    }
)


def skips_are_failures() -> bool:
    """With CI=true a part that is missing is a fault of the set-up, and not a reason to look away."""
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        asked = set(getattr(item, "fixturenames", ()))
        if asked & SERVERS:
            item.add_marker(pytest.mark.server)
        if "docker_engine" in asked:
            item.add_marker(pytest.mark.engine)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and skips_are_failures():
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: skipped, which CI takes for a failure: {reason_of(report)}"
    return report


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """The words after "Skipped: " in a report of a skipped test or file."""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return str(report.longrepr)


def skipped_ones(terminal: pytest.TerminalReporter) -> Iterator[str]:
    for report in terminal.getreports("skipped"):
        if not hasattr(report, "wasxfail"):
            yield f"{report.nodeid}: {reason_of(report)}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = sorted(skipped_ones(terminalreporter))
    if lines:
        terminalreporter.section(f"not run: {len(lines)}")
        for line in lines:
            terminalreporter.line(line)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A whole file that skipped itself has no test that could be made a failure; the run fails instead."""
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and skips_are_failures() and session.exitstatus == 0 and any(skipped_ones(terminal)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
