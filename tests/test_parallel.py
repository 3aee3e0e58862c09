"""Calls in parallel: results in order, the first failure wins, an interrupt ends them."""

from __future__ import annotations

import signal
import threading

import pytest

from tests.probes.rig import wait_for
from vrbench.parallel import CancelToken, parallel


def test_results_come_in_the_order_of_the_calls() -> None:
    """Whichever ends first: here the last one, and the first one last."""
    ended = [threading.Event() for _ in range(5)]
    ended[4].set()

    def call(number: int, _: CancelToken) -> int:
        assert ended[number + 1].wait(5)
        ended[number].set()
        return number

    assert parallel(range(4), call) == [0, 1, 2, 3]


def test_no_more_calls_at_once_than_asked() -> None:
    """The width is kept, and used: three meet again and again, and never are there four."""
    now, most, lock, three = 0, 0, threading.Lock(), threading.Barrier(3)

    def call(_: int, __: CancelToken) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        three.wait(5)
        with lock:
            now -= 1

    parallel(range(12), call, width=3)
    assert most == 3


def test_the_first_failure_is_raised_after_all_have_ended() -> None:
    """Calls under way come to their end; waiting ones are not begun."""
    ended: list[str] = []
    begun, stop = threading.Event(), CancelToken()

    def slow() -> None:
        begun.set()
        wait_for(stop.is_set, "the failure of the other call")
        ended.append("slow")

    def failing() -> None:
        assert begun.wait(5)
        raise ValueError("the reason")

    def late() -> None:
        ended.append("late")

    with pytest.raises(ValueError, match="the reason"):
        parallel([slow, failing, late], lambda work, _: work(), width=2, stop=stop)
    assert ended == ["slow"]


def test_a_failure_ends_the_waits_of_the_others() -> None:
    """Through the flag that waits look at."""
    stop = CancelToken()

    def waits() -> None:
        while True:
            stop.sleep(5)

    def fails() -> None:
        raise ValueError("no place")

    with pytest.raises(ValueError, match="no place"):
        parallel([waits, waits, fails], lambda work, _: work(), stop=stop)


def test_an_interrupt_lets_calls_under_way_end_and_goes_on_its_way() -> None:
    """What was sent is still journaled; what was not sent is not."""
    done: list[int] = []
    started, stop = threading.Semaphore(0), CancelToken()

    def call(number: int, _: CancelToken) -> None:
        started.release()
        wait_for(stop.is_set, "the interrupt")
        done.append(number)

    def interrupt() -> None:
        started.acquire(timeout=5)
        started.acquire(timeout=5)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        parallel(range(6), call, width=2, stop=stop)
    assert sorted(done) == [0, 1]


def test_the_first_failure_ends_the_others() -> None:
    """Those that wait give up, those that have not begun never do, and the failure is raised."""
    begun = []

    def work(number: int, stop: CancelToken) -> None:
        begun.append(number)
        if number == 15:
            raise ValueError("no place")
        while True:
            stop.sleep(0.05)

    with pytest.raises(ValueError, match="no place"):
        parallel(range(40), work)
    assert max(begun) == 15


def test_an_interrupt_lets_nobody_take_another_step() -> None:
    """What is between two steps when the user interrupts never takes the second."""
    steps, resume, main = [], threading.Event(), threading.main_thread().ident
    assert main is not None

    def work(number: int, stop: CancelToken) -> None:
        steps.append((number, "deploy"))
        if len(steps) == 3:
            signal.pthread_kill(main, signal.SIGINT)
        resume.wait(10)
        stop.check()
        steps.append((number, "start"))

    with pytest.raises(KeyboardInterrupt):
        parallel(range(3), work, grace_s=0.1)
    resume.set()
    wait_for(lambda: not [t for t in threading.enumerate() if "take_turns" in t.name], "the end of the threads")
    assert {step for _, step in steps} == {"deploy"}
