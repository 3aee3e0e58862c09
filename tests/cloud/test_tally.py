"""What a long wait is told by: how much is done, and about how long the rest takes."""

from datetime import UTC, datetime

from vrbench.cloud.journal.replay import JournalEntry
from vrbench.cloud.remove.progress import RemovalProgress
from vrbench.cloud.tally import Tally


class Steps:
    """A clock that goes on by so much with each look."""

    def __init__(self, step_s: float) -> None:
        self.now, self.step_s = -step_s, step_s

    def __call__(self) -> float:
        self.now += self.step_s
        return self.now


def test_what_is_left_is_told_once_a_few_are_done() -> None:
    """Ten seconds each, one after the other; the end needs no guess."""
    tally = Tally(31, "rule", "is in place", one_by_one=True, clock=Steps(10.0))
    lines = [tally.count(f"r{number}") for number in range(1, 32)]
    assert lines[:4] == [
        "rule 1 of 31 is in place (r1)",
        "rule 2 of 31 is in place (r2)",
        "rule 3 of 31 is in place, about 5 min left (r3)",
        "rule 4 of 31 is in place, about 4 min left (r4)",
    ]
    assert lines[-2:] == ["rule 30 of 31 is in place, about 10 s left (r30)", "rule 31 of 31 is in place (r31)"]


def test_nothing_is_guessed_where_a_guess_is_worth_nothing() -> None:
    """Neither of what is quick nor of what goes on side by side."""
    quick, beside = Tally(9, "rule", "is in place", one_by_one=True, clock=Steps(0.1)), Tally(9, "VM", "runs")
    beside.clock = Steps(60.0)
    assert not any("left" in tally.count("x") for tally in (quick, beside) for _ in range(9))


def test_a_removal_tells_what_went_what_is_left_and_what_comes_next() -> None:
    """In lines for 80 columns. The router lets go of one address after the other; of VMs nothing is guessed."""
    kinds = ["address"] * 5 + ["vm", "network", "keypair"]
    entries = [JournalEntry(f"{kind}{n}", kind, {}, "id", datetime.now(UTC)) for n, kind in enumerate(kinds)]
    told: list[str] = []
    progress = RemovalProgress(told.append, lambda: entries, clock=Steps(10.0))
    progress.begin("releasing 5 addresses, 3 at once", "address")
    for entry in entries[:3]:
        entries.remove(entry)
        progress.went(entry)
    progress.waiting()
    for entry in list(entries):
        entries.remove(entry)
        progress.went(entry)
    # Each line takes two looks at the clock: one for what it says, one to note when that was.
    assert told == [
        "releasing 5 addresses, 3 at once; next: 1 VM, network, key pair",
        "address 1 of 5 is gone after 20 s (address0)",
        "address 2 of 5 is gone after 40 s (address1)",
        "address 3 of 5 is gone after 1 min, about 40 s left (address2)",
        "still releasing 5 addresses, 3 of 5 done, 1 min; next: 1 VM, network, key pair",
        "address 4 of 5 is gone after 2 min, about 22 s left (address3)",
        "address 5 of 5 is gone after 2 min (address4)",
        "VM is gone (vm5)",
        "network is gone (network6)",
        "key pair is gone (keypair7)",
    ]
    assert max(map(len, told)) <= 78


def test_what_goes_at_once_is_told_once() -> None:
    """Twenty lines within a second would push from the screen what is worth reading."""
    entries = [JournalEntry(f"vm{n}", "vm", {}, "id", datetime.now(UTC)) for n in range(10)]
    told: list[str] = []
    progress = RemovalProgress(told.append, lambda: entries, clock=Steps(0.1))
    progress.begin("destroying 10 VMs", "vm")
    for entry in list(entries):
        entries.remove(entry)
        progress.went(entry)
    assert told == ["destroying 10 VMs", "VM 10 of 10 is gone after 1 s (vm9)"]
