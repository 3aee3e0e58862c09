"""What stands in a run's files: old words stay readable, unknown ones are refused, and every value comes back whole."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest

from vrbench.core.caveats import Caveat, CaveatKind
from vrbench.core.facts import Context, NodeClock, TrialFacts
from vrbench.core.model import Direction, Endpoint, Environment, Guest, Stream
from vrbench.core.plan.method import Method
from vrbench.store import codec
from vrbench.store.files import StoreError

PATH = Path("run-1/run.json")
STREAM = Stream("syn/vm1", Direction.INGRESS, "ssh", "syn", "203.0.113.7:22", 0.1)
FACTS = (
    (1, "2026-11-24T12:00:00.000Z", 7, 15.0),
    {"job_s": 2.5, "clocks": {"vm1": NodeClock(3, 1000)}, "agents_lost": ("vm1",), "observed_ns": 9},
)
# A trial's facts in the words that files have had from the first version on.
WRITTEN: dict[str, Any] = {
    "number": 1,
    "requested_utc": "2026-11-24T12:00:00.000Z",
    "requested_ns": 7,
    "baseline_s": 15.0,
    "expected": [["vm1", {**asdict(STREAM)}]],
    "behind": {"203.0.113.7:22": "vm1"},
    "doubts": [{"kind": "sshd-limits", "detail": "vm1"}],
    "rivals": ["r-1-VM", "r-2-VM"],
    "gateways": {"vm1": ["02:00:00:00:00:01"]},
}
HEADER: dict[str, Any] = {
    "format": codec.FORMAT,
    "run_id": "run-1",
    "state": "done",
    "context": asdict(Context("x", "4.20", "KVM", "restart-network", lab=False)),
    "method": asdict(Method(0.1, 0.25, 0.8, 1, 15.0, 10.0)),
    "profile": {"trials": {"count": 3}, "limits": {"egress": 2.0, "ingress": None}},
    "calibrated": None,
}


def header(**change: object) -> codec.Header:
    """Return what is read from a header with other entries."""
    return codec.decode_header(json.loads(json.dumps({**HEADER, **change})), PATH)


def test_facts_are_read_by_the_words_of_the_first_version() -> None:
    """Whatever the fields are called in code by now."""
    facts = codec.decode(TrialFacts, WRITTEN, PATH)
    stored = codec.encode(facts)
    assert {name: json.loads(json.dumps(stored[name])) for name in WRITTEN} == WRITTEN
    parts = [getattr(facts, field.name) for field in fields(facts)]
    for part in (
        (("vm1", STREAM),),
        {"203.0.113.7:22": "vm1"},
        (Caveat(CaveatKind.SSHD_LIMITS, "vm1"),),
        ("r-1-VM", "r-2-VM"),
        {"vm1": ("02:00:00:00:00:01",)},
    ):
        assert part in parts


def test_facts_come_back_whole() -> None:
    """Through JSON, with clocks and tuples of their own types."""
    facts = TrialFacts(*FACTS[0], **FACTS[1])  # type: ignore[arg-type]  # of several types by design
    assert codec.decode(TrialFacts, json.loads(json.dumps(codec.encode(facts))), PATH) == facts


def test_an_environment_comes_back_whole() -> None:
    guest = Guest("vm1", "id-1", "10.1.1.2", "203.0.113.7", 22)
    built = Environment(
        "n1", "net", "zone", "KVM", "4.20", "offering", "203.0.113.1", (guest,), (Endpoint("203.0.113.7", 22, "vm1"),)
    )
    assert codec.decode(Environment, json.loads(json.dumps(codec.encode(built))), PATH) == built


def test_every_other_name_belongs_to_a_field() -> None:
    """The table of names holds no row that no field goes by, and no key twice."""
    for kind, names in codec.WRITTEN_AS.items():
        known = {field.name for field in fields(kind)}
        assert set(names) <= known
        keys = [names.get(name, name) for name in known]
        assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "vrbench-run/9"}, "has format 'vrbench-run/9'; this version reads"),
        ({"method": {**HEADER["method"], "rule": 1}}, "holds rule, which this version does not know"),
        ({"method": {**HEADER["method"], "merge": 0}}, "method.merge is 0"),
        ({"method": {**HEADER["method"], "threshold_s": True}}, "`bool` - at `method.threshold_s`"),
        ({"method": {**HEADER["method"], "baseline_s": 1e9}}, "method.baseline_s is 1000000000.0"),
        ({"context": {**HEADER["context"], "lab": "yes"}}, "at `context.lab`"),
        ({"context": {"environment": "x"}}, "missing required field `cloud_version`"),
        ({"context": None}, "no Context"),
    ],
)
def test_a_header_that_is_not_whole_is_refused(change: dict[str, object], words: str) -> None:
    """The message names the file, the place and what is wrong there."""
    with pytest.raises(StoreError) as refused:
        header(**change)
    assert words in str(refused.value)
    assert "run-1" in str(refused.value)


def test_what_a_run_asked_for_may_be_missing() -> None:
    """A profile or a calibration that can't be read takes no figure from the run."""
    read = header()
    assert (read.planned, read.limits and read.limits.egress) == (3, 2.0)
    unreadable: list[object] = [None, [], {"trials": {"count": "x"}}, {"trials": {"count": 3}, "limits": {"other": 1}}]
    for profile in unreadable:
        assert (header(profile=profile).planned, header(profile=profile).limits) == (0, None)
    no_verdicts: list[object] = [None, [], {"seed": 1}, dict.fromkeys(("seed", "good"), 1)]
    for verdict in no_verdicts:
        assert header(calibrated=verdict).calibrated is None
