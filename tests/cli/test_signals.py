"""What an interrupt says, whatever it interrupts."""

from __future__ import annotations

import signal

import pytest

from vrbench.cli.exits import Interrupted
from vrbench.cli.signals import Signals


@pytest.mark.parametrize("tearing_down", [False, True])
def test_it_is_said_also_in_the_middle_of_a_line(tearing_down: bool, capfd: pytest.CaptureFixture[str]) -> None:
    """A stream that was being written to refuses a second writer; that ends neither the trial nor the removal."""

    def refuse(_: str) -> None:
        raise RuntimeError("reentrant call inside <_io.BufferedWriter name='<stderr>'>")

    with Signals(refuse) as signals:
        if tearing_down:
            signals.tear_down()
            signal.raise_signal(signal.SIGINT)
        else:
            with pytest.raises(Interrupted):
                signal.raise_signal(signal.SIGINT)
    said = "removing what was built" if tearing_down else "interrupted: ends the trial"
    assert said in capfd.readouterr().err
    assert not signals.leaving
