"""What the half-open prober takes for a refusal, and by what it tells who refused."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.probes.box import Box
from tests.probes.rig import HARNESS, ROUTER, more, read_log, stream, wait_for
from tests.probes.servers import start_speaker, stop_server
from vrbench.core.log.rawlog import RecordKind
from vrbench.probes.engine import STALLED_NS
from vrbench.probes.prober_process import ProberConfig, start_prober

pytestmark = pytest.mark.lab
AROUND = 100  # slots of 10 ms: more than come before a source port is used again
FORWARDED, OWN = 63, 64  # TTLs at the harness: of a guest's answers, and of what the router says itself


@pytest.fixture
def syns(gate: Box, tmp_path: Path) -> Iterator[Path]:
    """Provide the growing log of SYNs every 10 ms towards a guest that listens, once the first are answered."""
    server, log = start_speaker(gate, "guest0", "hello\\n"), tmp_path / "log"
    with gate.inside("harness"):
        prober = start_prober(ProberConfig("syn", "harness", log, (stream(f"{ROUTER}:2200", "syn", 0.01, "ssh"),)))
    wait_for(more(log, 5, RecordKind.REPLY), "answers")
    yield log
    prober.stop()
    stop_server(gate, "guest0", server)


def cut(box: Box, rule: str) -> None:
    """Have the router do something with what it forwards."""
    box.run("router", "nft", f"add rule ip gate cut {rule}")


def test_half_connections_that_guests_keep_refuse_nothing(gate: Box, syns: Path) -> None:
    """Where our resets are lost guests keep each handshake open: the next SYN of its port meets it, and is answered."""
    cut(gate, f"ip saddr {HARNESS} tcp flags & (syn | rst) == rst drop")
    wait_for(more(syns, 2 * AROUND), "two rounds through the source ports")
    gate.run("router", "nft", "flush chain ip gate cut")
    wait_for(more(syns, AROUND), "one more round")
    wait_for(lambda: gate.sh("guest0", "ss -Htn state syn-recv | wc -l").strip() == "0", "the end of what guests kept")
    logged = read_log(syns)
    sent = logged.sent_ns()
    doubts = [r for r in logged.records if r.kind is RecordKind.AMBIGUOUS and r.t_ns - sent[r.slot] < STALLED_NS]
    assert (logged.slots(RecordKind.REFUSED), doubts) == ([], [])
    last_heard = max(logged.slots(RecordKind.REPLY))
    assert [slot for slot in logged.unanswered() if slot < last_heard] == []


@pytest.mark.parametrize(
    ("node", "rule", "ttl"),
    [("guest0", "input tcp dport 22", FORWARDED), ("router", "forward tcp dport 22", OWN)],
)
def test_the_ttl_tells_who_refuses(gate: Box, syns: Path, node: str, rule: str, ttl: int) -> None:
    """A guest's reset comes the way of its answers; the router's is one hop nearer."""
    hook, what = rule.split(maxsplit=1)
    table = f"table ip no {{ chain no {{ type filter hook {hook} priority 0; {what} reject with tcp reset; }}; }}"
    gate.run(node, "nft", table.replace("; ", "\n").replace("{ ", "{\n"))
    try:
        wait_for(more(syns, 5, RecordKind.REFUSED), "refusals")
    finally:
        gate.run(node, "nft", "delete table ip no")
    records = read_log(syns).records
    assert {r.detail for r in records if r.kind is RecordKind.REPLY} == {FORWARDED}
    told = [(before.detail, before.slot, r.slot) for before, r in pairwise(records) if r.kind is RecordKind.REFUSED]
    assert told
    assert all(seen == ttl and of == slot for seen, of, slot in told)
