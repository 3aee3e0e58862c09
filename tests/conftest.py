"""What all tests share: the guard of those that need a machine able to run the lab."""

from __future__ import annotations

import os
import signal

import pytest

from vrbench.lab.requirements import check_machine, find_missing

SLOW_TIMEOUT_S = 400
BEGIN_FIRST = tuple(  # these take longest: all workers wait for whoever begins one of them last
    """
    test_mutations.py
    docs/test_commands.py
    cli/faults/
    cli/test_run.py
    cli/test_run_
    cli/test_bad_input.py
    cli/test_calibrate.py
    clients/
    lab/test_strategies_alive.py
    lab/test_ground
    lab/test_faults.py
    lab/test_vpc_alive.py
    lab/test_api_conformance.py
    probes/test_self_audit
    """.split()
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="Rewrite golden files and generated parts of the README.")


def pytest_configure() -> None:
    """Let signals reach tests of signals: whoever is started by nohup, or in the background, inherits some ignored."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the longest; call slow what must run alone; give slow tests more time, where a plugin ends them."""
    items.sort(key=lambda item: not item.nodeid.removeprefix("tests/").startswith(BEGIN_FIRST))
    for item in items:
        if item.get_closest_marker("alone"):
            item.add_marker(pytest.mark.slow)
        if config.pluginmanager.hasplugin("timeout") and item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT_S))


@pytest.fixture
def rewrite(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written instead of compared."""
    return bool(request.config.getoption("--rewrite"))


@pytest.fixture(scope="session")
def _why_no_lab() -> str:
    """Why this machine can't run the lab; empty when it can. Found out once."""
    missing = find_missing()
    return missing.message() if missing else "\n".join(check_machine())


@pytest.fixture(scope="session")
def lab_possible(_why_no_lab: str) -> None:
    """For fixtures that start a lab: fails in CI where it can't run, skips with the reason elsewhere."""
    _need_lab(_why_no_lab)


@pytest.fixture(autouse=True)
def _lab_guard(request: pytest.FixtureRequest) -> None:
    """Fail a test marked ``lab`` in CI where the lab can't run; skip it with the reason elsewhere."""
    if request.node.get_closest_marker("lab") is not None:
        _need_lab(request.getfixturevalue("_why_no_lab"))


def _need_lab(reason: str) -> None:
    if reason and os.environ.get("CI") == "true":
        pytest.fail(f"CI must be able to run the lab: {reason}", pytrace=False)
    if reason:
        pytest.skip(reason)
