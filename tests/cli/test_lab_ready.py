"""A machine that can't run the lab: what is missing is said, and what to type."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from vrbench.cli.exits import UsageProblem
from vrbench.cli.main import cli
from vrbench.lab import requirements


@pytest.mark.parametrize(
    ("words", "offer"),
    [
        ("demo", "vrbench demo --install-missing"),
        ("lab up", "vrbench lab up --install-missing"),
        ("run lab-parallel", ""),
        ("calibrate --quick", ""),
    ],
)
def test_only_a_command_that_installs_offers_to(words: str, offer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever wants to measure or calibrate is not sent to the demo; the line for the shell is shown in any case."""
    lacking = requirements.Missing(("nft",), ("nftables",))
    monkeypatch.setattr(requirements, "find_missing", lambda: lacking)
    done = CliRunner().invoke(cli, words.split())
    assert isinstance(done.exception, UsageProblem)
    assert requirements.shell_line(lacking) in str(done.exception)
    assert str(done.exception).endswith(f"Or let vrbench do it: {offer}") == bool(offer)
    assert ("--install-missing" in str(done.exception)) == bool(offer)
