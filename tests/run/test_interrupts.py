"""What an interrupt does and says, whatever it interrupts."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from vrbench.run.errors import Interrupted
from vrbench.run.interrupts import HANDLED, REMOVING, STOPPING, Interrupts


class Presses:
    """A hand on Ctrl-C: each press a second after the one before."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.now_s = 0.0
        self.interrupts = Interrupts(self.said.append, lambda: self.now_s)

    def press(self, after_s: float = 1.0, number: int = signal.SIGINT) -> None:
        self.now_s += after_s
        signal.raise_signal(number)


@pytest.fixture
def hand() -> Iterator[Presses]:
    """Signals are handled for as long as the test lasts."""
    presses = Presses()
    with presses.interrupts:
        yield presses


@pytest.mark.parametrize("number", HANDLED)
def test_the_first_ends_the_measuring(hand: Presses, number: int) -> None:
    """At once, with a sentence."""
    with pytest.raises(Interrupted), hand.interrupts.measuring():
        hand.press(number=number)
    assert hand.said == [STOPPING]


def test_one_that_python_drops_comes_again(hand: Presses) -> None:
    """Whatever is raised while an object is cleared away is lost, such as a connection at the end of its pool."""

    class Cleared:
        def __del__(self) -> None:
            hand.press()

    def go_on() -> None:
        Cleared()
        time.sleep(60)

    with pytest.raises(Interrupted), hand.interrupts.measuring():
        go_on()
    assert hand.said == [STOPPING]


def test_the_first_does_not_end_the_removal(hand: Presses) -> None:
    """It is answered, and the removal goes on; the second one ends it."""
    with hand.interrupts.removing():
        hand.press()
    assert hand.said == [REMOVING]
    with pytest.raises(Interrupted), hand.interrupts.removing():
        hand.press()
    assert hand.said == [REMOVING]


def test_the_second_ends_what_the_first_has_begun_to_end(hand: Presses) -> None:
    """Whoever presses again while the last samples are being collected does not wait for them."""

    def press_and_press_again() -> None:
        try:
            hand.press()
        finally:
            hand.press()
            raise AssertionError("the second one was not heard")

    with pytest.raises(Interrupted), hand.interrupts.measuring():
        press_and_press_again()


def test_two_before_the_removal_leave_at_once(hand: Presses) -> None:
    """The removal is not even begun."""
    hand.press()
    hand.press()
    with pytest.raises(Interrupted), hand.interrupts.removing():
        raise AssertionError("something was removed")


def test_one_before_the_measuring_is_not_lost(hand: Presses) -> None:
    """Nothing is begun then, and the removal goes on as ever."""
    hand.press()
    with pytest.raises(Interrupted), hand.interrupts.measuring():
        raise AssertionError("something was measured")
    with hand.interrupts.removing():
        pass


def test_one_press_that_arrives_twice_is_one(hand: Presses) -> None:
    """From the terminal and passed on by a parent, within a moment."""
    with hand.interrupts.removing():
        hand.press()
        hand.press(after_s=0.1)


@pytest.mark.parametrize("number", HANDLED)
def test_what_was_ignored_at_the_start_stays_ignored(number: signal.Signals) -> None:
    """Under nohup, or in a shell's background."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with Presses().interrupts as interrupts, interrupts.measuring():
            os.kill(os.getpid(), number)
            assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_whoever_handled_signals_before_does_so_again() -> None:
    """The handlers are put back."""
    before = [signal.getsignal(number) for number in HANDLED]
    with Presses().interrupts:
        assert [signal.getsignal(number) for number in HANDLED] != before
    assert [signal.getsignal(number) for number in HANDLED] == before


@pytest.mark.parametrize("stage", [Interrupts.measuring, Interrupts.removing])
def test_it_is_said_also_in_the_middle_of_a_line(
    stage: Callable[[Interrupts], AbstractContextManager[None]], capfd: pytest.CaptureFixture[str]
) -> None:
    """A stream that was being written to refuses a second writer; that ends neither the trial nor the removal."""

    def refuse(_: str) -> None:
        raise RuntimeError("reentrant call inside <_io.BufferedWriter name='<stderr>'>")

    measuring = stage is Interrupts.measuring
    with Interrupts(refuse) as interrupts:
        if measuring:
            with pytest.raises(Interrupted), stage(interrupts):
                signal.raise_signal(signal.SIGINT)
        else:
            with stage(interrupts):
                signal.raise_signal(signal.SIGINT)
    assert (STOPPING if measuring else REMOVING) in capfd.readouterr().err
