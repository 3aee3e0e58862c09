"""The sentence that answers first is true whatever was measured, and whatever was not."""

from __future__ import annotations

import pytest

from tests.replacing import replace
from tests.report.made_runs import (
    OPEN,
    UNSEEN,
    banner,
    down,
    fresh,
    made_run,
    made_trial,
    old,
    session,
    stuck,
    syn,
)
from vrbench.core.figures.results import Run, RunState
from vrbench.core.kinds import ICMP_PERSISTENT
from vrbench.core.model import Verdict
from vrbench.core.plan.operations import OPERATIONS
from vrbench.report.answer import answer

CLEANUP = "Restarting the router with cleanup: "
WHOLE = made_trial(
    fresh(3.4, 5.0), old(3.4, 5.0), syn(3.4, 4.4), banner(3.4, 4.4), [session(1, "stalled"), session(2, "stalled")]
)
INVALID = made_trial(fresh(9.0), banner(9.0), verdict=Verdict.INVALID, caveats=("interrupted",))
ASLEEP = made_trial(fresh(9.0), banner(9.0), verdict=Verdict.UNKNOWN, caveats=("prober-stalled", "unseen"))
CASES = {
    "all that there is": (
        made_run(*[WHOLE] * 6),
        "new connections from VMs fail for 4.20 s (worst VM 5.00 s), SSH from outside for 3.90 s (worst 4.40 s), "
        "over 6 trials; 12 of 12 open SSH sessions stalled",
    ),
    "one trial of one VM has no worst one": (
        made_run(made_trial(fresh(4.2), banner(3.9))),
        "new connections from VMs fail for 4.20 s, SSH from outside for 3.90 s, in one trial",
    ),
    "several trials of one VM have a worst one": (
        made_run(made_trial(fresh(4.0), banner(3.0)), made_trial(fresh(5.0), banner(4.0))),
        "new connections from VMs fail for 4.50 s (worst trial 5.00 s), SSH from outside for 3.50 s (worst 4.00 s), "
        "over 2 trials",
    ),
    "nothing seen down is less than what may have hidden": (
        made_run(made_trial(fresh(UNSEEN, UNSEEN), banner(UNSEEN, UNSEEN), [session(1, "survived")])),
        "new connections from VMs fail for less than 0.11 s, if at all, SSH from outside for less than 0.11 s, "
        "if at all, in one trial; 1 of 1 open SSH session survived",
    ),
    "some VMs saw nothing": (
        made_run(made_trial(fresh(UNSEEN, down(2.0)), banner(3.0, 3.0))),
        "new connections from VMs fail for 1.00 s (worst VM 2.00 s), SSH from outside for 3.00 s (worst 3.00 s), "
        "in one trial",
    ),
    "no end seen in the only trial": (
        made_run(made_trial(fresh(OPEN), banner(2.0))),
        "new connections from VMs fail for at least 3.90 s (no end seen), SSH from outside for 2.00 s, in one trial",
    ),
    "no end seen in one of two": (
        made_run(made_trial(fresh(OPEN), banner(2.0)), made_trial(fresh(1.0), banner(2.0))),
        "new connections from VMs fail for at least 2.40 s (no end seen in 1 of 2 trials), "
        "SSH from outside for 2.00 s (worst trial 2.00 s), over 2 trials",
    ),
    "bounds as wide as the figure stand beside it": (
        made_run(made_trial(fresh(down(0.5, 0.8)), banner(down(66.0, 120.0)))),
        "new connections from VMs fail for about 0.5 s (surely 0.1 to 0.9 s), "
        "SSH from outside for about 66 s (surely 6 to 126 s), in one trial",
    ),
    "an ongoing ping that surely fared otherwise": (
        made_run(made_trial(fresh(4.0), old(30.0), banner(4.0))),
        "new connections from VMs fail for 4.00 s (ongoing ping 30.00 s), SSH from outside for 4.00 s, in one trial",
    ),
    "a service that is slow while TCP is up": (
        made_run(made_trial(fresh(66.0), syn(81.0), banner(522.0))),
        "new connections from VMs fail for 66.00 s, SSH from outside for 522.00 s (TCP 81.00 s), in one trial",
    ),
    "only egress is probed": (
        made_run(made_trial(fresh(4.0))),
        "new connections from VMs fail for 4.00 s, in one trial",
    ),
    "only ingress is probed": (made_run(made_trial(banner(4.0))), "SSH from outside fails for 4.00 s, in one trial"),
    "only the old flow is probed": (made_run(made_trial(old(4.0))), "ongoing pings fail for 4.00 s, in one trial"),
    "only TCP is probed": (made_run(made_trial(syn(4.0))), "TCP from outside fails for 4.00 s, in one trial"),
    "a ping that never came back is in no average": (
        made_run(*[made_trial(fresh(4.2, 4.2), [*old(4.2), stuck(ICMP_PERSISTENT)], banner(4.2, 4.2))] * 2),
        "new connections from VMs fail for 4.20 s (worst VM 4.20 s), SSH from outside for 4.20 s (worst 4.20 s), "
        "over 2 trials; 2 of 4 ongoing pings never came back",
    ),
    "no ping came back": (
        made_run(made_trial([stuck(ICMP_PERSISTENT)], banner(4.0))),
        "SSH from outside fails for 4.00 s, in one trial; 1 of 1 ongoing ping never came back",
    ),
    "nothing but pings that never came back": (
        made_run(made_trial([stuck(ICMP_PERSISTENT)])),
        "1 of 1 ongoing ping never came back",
    ),
    "a direction that could not be measured": (
        made_run(made_trial([replace(s, seen_up=False) for s in fresh(1.0)], banner(2.0))),
        "SSH from outside fails for 2.00 s, in one trial; new connections from VMs could not be measured",
    ),
    "sessions fare differently": (
        made_run(made_trial(banner(2.0), [session(1, "stalled"), session(2, "reset"), session(3, "survived")])),
        "SSH from outside fails for 2.00 s, in one trial; 1 of 3 open SSH sessions stalled, 1 was reset",
    ),
    "sessions that were reset alone": (
        made_run(made_trial(banner(2.0), [session(1, "reset"), session(2, "reset")])),
        "SSH from outside fails for 2.00 s, in one trial; 2 of 2 open SSH sessions were reset",
    ),
    "a trial that does not count": (
        made_run(made_trial(fresh(4.0), banner(4.0)), INVALID),
        "new connections from VMs fail for 4.00 s, SSH from outside for 4.00 s, over 1 of 2 trials",
    ),
    "a trial that was planned and is missing": (
        made_run(made_trial(banner(4.0)), planned=3),
        "SSH from outside fails for 4.00 s, over 1 of 3 trials",
    ),
    "the only trial does not count": (
        made_run(INVALID),
        "no figure, its only trial does not count: the trial was interrupted",
    ),
    "no trial counts, for different reasons": (
        made_run(INVALID, ASLEEP),
        "no figure, none of 2 trials counts: the trial was interrupted; too many streams of one direction were not "
        "probed during an outage, or none while there may have been one",
    ),
    "no trial was completed": (replace(made_run(), state=RunState.FAILED), "no figure, no complete trial (failed)"),
    "no trial can be read": (replace(made_run(), unreadable=("bad",)), "no figure, no trial can be read"),
    "nothing was probed": (made_run(made_trial([])), "no figure, nothing was probed"),
}


@pytest.mark.parametrize("case", CASES)
def test_answer(case: str) -> None:
    """One sentence for each case; what it says of the others is theirs."""
    run, said = CASES[case]
    assert answer(run) == f"{CLEANUP}{said}."


@pytest.mark.parametrize(
    ("operation", "begins"),
    [(name, words.doing) for name, words in OPERATIONS.items()] + [("known-outages", "Operation known-outages")],
)
def test_every_operation_is_called_what_it_is(operation: str, begins: str) -> None:
    """Those of the table by its words, any other by its name."""
    run: Run = made_run(made_trial(banner(4.0)), operation=operation)
    assert answer(run) == f"{begins}: SSH from outside fails for 4.00 s, in one trial."
