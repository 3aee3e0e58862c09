"""Damaged journals: every damage is seen, stays where it is, and leaves nothing standing unseen."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cloud.lab import DEADLINES, QUICK, Lab, planned, running_lab, silent
from vrbench.cli.exits import Exit
from vrbench.cli.main import cli
from vrbench.cloud.build.environment import build
from vrbench.cloud.environment_plan import name_prefix
from vrbench.cloud.journal.journal import DamagedJournal, Journal, JournalError
from vrbench.cloud.journal.replay import Head, Replay, replay
from vrbench.cloud.remove.looks import LISTS
from vrbench.cloud.remove.removal import RemovalReport
from vrbench.cloud.remove.steps import remove_journaled

WAITS = replace(DEADLINES, network_s=5.0, settle_s=0.0, poll_s=0.01, read_s=0.3, lost_s=0.3, round_s=0.01)
RUN_ID = "20261124T120000Z-1a2b3c4d-lab"
PLAN = planned(run_id=RUN_ID, prefix=name_prefix(RUN_ID), vms=1, public_ips=1, poll_s=0.01)
HEAD = Head(RUN_ID, "http://127.0.0.1:1/client/api", "tenant", "domain-id")

Damage = Callable[[list[bytes], int], list[bytes]]


def garbled(lines: list[bytes], at: int) -> list[bytes]:
    """Turn created into create0, as well as its fellows."""
    return [*lines[:at], re.sub(rb'"event":"(.*?).","', rb'"event":"\g<1>0","', lines[at]), *lines[at + 1 :]]


def wrong_digit(lines: list[bytes], at: int) -> list[bytes]:
    """Change one digit of whatever the line says."""
    changed = re.sub(rb"[0-9]", lambda digit: b"%d" % ((int(digit[0]) + 1) % 10), lines[at], count=1)
    return [*lines[:at], changed, *lines[at + 1 :]]


def missing(lines: list[bytes], at: int) -> list[bytes]:
    return [*lines[:at], *lines[at + 1 :]]


def doubled(lines: list[bytes], at: int) -> list[bytes]:
    return [*lines[: at + 1], *lines[at:]]


DAMAGES: tuple[Damage, ...] = (garbled, wrong_digit, missing, doubled)


def written(path: Path) -> list[bytes]:
    """Write a small journal and return its lines."""
    with Journal.create(path, HEAD) as journal:
        for kind, name in (
            ("keypair", "vrb-1a2b3c4d-key"),
            ("network", "vrb-1a2b3c4d-net"),
            ("vm", "vrb-1a2b3c4d-vm1"),
        ):
            journal.intend(kind, name, {"name": name})
            journal.created(name, f"0b9c-{kind}")
        journal.destroyed("vrb-1a2b3c4d-vm1")
    return path.read_bytes().splitlines(keepends=True)


def believed(content: bytes) -> Replay:
    return replay(content.split(b"\n")[:-1])


def test_a_flipped_bit_anywhere_is_seen(tmp_path: Path) -> None:
    """In every byte; but the last line's end, without which it is a torn line."""
    content = b"".join(written(tmp_path / "j"))
    assert believed(content).damage == []
    for at in range(len(content) - 1):
        flipped = bytearray(content)
        flipped[at] ^= 1 << (at % 8)
        assert believed(bytes(flipped)).damage != [], (at, bytes(flipped))


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_line_is_told_with_its_place(tmp_path: Path, damage: Damage) -> None:
    """File, line, what is wrong, and what to do."""
    lines = written(tmp_path / "j")
    (tmp_path / "j").write_bytes(b"".join(damage(lines, 3)))
    place = 5 if damage is doubled else 4
    said = rf"{tmp_path}/j, line {place}: .*run vrbench cleanup on its run"
    with pytest.raises(DamagedJournal, match=said):
        Journal.open(tmp_path / "j")


def test_what_other_lines_say_is_believed(tmp_path: Path) -> None:
    """A VM that lost its intent is known by its name, and one that was removed is looked for again."""
    lines = written(tmp_path / "j")
    (tmp_path / "j").write_bytes(b"".join(wrong_digit(lines, 5)))
    with Journal.salvage(tmp_path / "j", RUN_ID) as journal:
        assert [(entry.key, entry.kind, entry.id) for entry in journal.pending()] == [
            ("vrb-1a2b3c4d-vm1", "vm", "0b9c-vm"),
            ("vrb-1a2b3c4d-net", "network", "0b9c-network"),
            ("vrb-1a2b3c4d-key", "keypair", "0b9c-keypair"),
        ]
        assert journal.head == HEAD
        assert [damage.line for damage in journal.damage] == [6, 7, 8]


def test_files_of_the_first_format_stay_readable(tmp_path: Path) -> None:
    """Without checksums; what is added to them is of their own kind. An unknown event is an error."""
    first = (
        b'{"event":"opened","format":"vrbench-journal/1","run_id":"r-1","endpoint":"e","account":"a","domain_id":"d",'
        b'"at":"2026-11-24T12:00:00+00:00"}\n'
        b'{"event":"intended","key":"n","kind":"network","params":{"name":"n"},"at":"2026-11-24T12:00:00+00:00"}\n'
    )
    (tmp_path / "j").write_bytes(first)
    with Journal.open(tmp_path / "j") as journal:
        journal.created("n", "id-1")
    with Journal.open(tmp_path / "j") as journal:
        assert [(entry.key, entry.id) for entry in journal.pending()] == [("n", "id-1")]
    (tmp_path / "j").write_bytes(first + b'{"event":"create0","key":"n","id":"id-1","at":"2026-11-24"}\n')
    with pytest.raises(JournalError, match=r"line 3: .*unknown event 'create0'"):
        Journal.open(tmp_path / "j")


def build_on(lab: Lab, path: Path) -> list[bytes]:
    resolved = lab.resolve(PLAN)
    with Journal.create(path, Head(RUN_ID, lab.endpoint, resolved.account, resolved.domain_id)) as journal:
        build(lab.cloud(), PLAN, resolved, journal, silent)
    return path.read_bytes().splitlines(keepends=True)


def salvaged(lab: Lab, path: Path) -> RemovalReport:
    with Journal.salvage(path, RUN_ID) as journal:
        assert journal.damage
        return remove_journaled(lab.cloud(), journal, silent, WAITS)


@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_a_damaged_line_leaves_nothing_standing(tmp_path: Path, step: int) -> None:
    """Each line in turn: what it said is found by name, by tag or by what it hangs on."""
    with running_lab(QUICK) as lab:
        for turn in itertools.count():
            at, path = turn * step, tmp_path / str(turn)
            lines = build_on(lab, path)
            if at >= len(lines) - 1:  # a last line that is missing can't be seen
                break
            damage = DAMAGES[turn % len(DAMAGES)]
            path.write_bytes(b"".join(damage(lines, at)))
            report = salvaged(lab, path)
            assert (report.left, report.problems) == ((), ()), (at, damage.__name__)
            assert lab.objects() == [], (at, damage.__name__)
    assert at > 10


def as_first_format(line: bytes) -> bytes:
    """Return the line as earlier versions wrote it; every id in it has a digit that is wrong, and nothing shows it."""
    unsealed = re.sub(rb',"n":[0-9]+,"sum":"[0-9a-f]+"', b"", line).replace(b"vrbench-journal/2", b"vrbench-journal/1")
    if b'"event":"created"' not in line:
        return unsealed
    return re.sub(rb'"id":"(.)', lambda id_: b'"id":"' + (b"1" if id_[1] != b"1" else b"2"), unsealed)


def test_ids_that_are_all_wrong_leave_nothing_standing(tmp_path: Path) -> None:
    """Files of the first format have no checksum: what is not found by its id is looked for by its name."""
    path = tmp_path / "j"
    with running_lab(QUICK) as lab:
        path.write_bytes(b"".join(map(as_first_format, build_on(lab, path))))
        standing = {row["id"] for kind in ("network", "vm", "address") for row in lab.rows(*LISTS[kind])}
        with Journal.open(path) as journal:
            noted = {entry.id for entry in journal.pending()}
            report = remove_journaled(lab.cloud(), journal, silent, WAITS)
        assert not noted & standing
        assert (report.left, report.problems) == ((), ())
        assert {line.split()[0] for line in report.removed} == {"address", "vm", "network", "keypair"}
        assert lab.objects() == []


def test_both_lines_of_everything_may_be_lost(tmp_path: Path) -> None:
    """Of a journal that has no more than its head, and of one that has not even that."""
    with running_lab(QUICK) as lab:
        for kept in (slice(0, 1), slice(0, 0)):
            path = tmp_path / str(kept.stop)
            lines = build_on(lab, path)
            path.write_bytes(b"".join(lines[kept]) + b"garbage\n")
            assert salvaged(lab, path).left == ()
            assert lab.objects() == []


@pytest.fixture
def at_hand(monkeypatch: pytest.MonkeyPatch) -> Callable[[Lab], None]:
    """Have the command line find the lab's credentials, and wait less."""

    def arranged(lab: Lab) -> None:
        caller = lab.server.callers()["domadmin"]
        for name, value in (("ENDPOINT", lab.endpoint), ("KEY", caller.apikey), ("SECRET", caller.secretkey)):
            monkeypatch.setenv(f"CLOUDSTACK_{name}", value)
        monkeypatch.setattr("vrbench.cloud.remove.steps.Deadlines", lambda: WAITS)

    return arranged


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a run's journal belongs."""
    directory = tmp_path / RUN_ID
    directory.mkdir()
    return directory / "journal.jsonl"


def clean_up(path: Path) -> int:
    """Have the command line clean up after the run of this journal; return its exit code."""
    code: int = cli.main(["cleanup", RUN_ID, "--reports", str(path.parents[1])], standalone_mode=False)
    return code


def test_cleanup_never_says_that_nothing_is_left_after_damage(
    path: Path, at_hand: Callable[[Lab], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """It removes what it finds, says what to look for, and ends with the code of a journal that can't be read."""
    with running_lab(QUICK) as lab:
        at_hand(lab)
        path.write_bytes(b"".join(wrong_digit(build_on(lab, path), 3)))
        code = clean_up(path)
        out, err = capsys.readouterr()
        assert lab.objects() == []
    assert code == Exit.NOT_VALID
    assert out == ""
    assert f"{RUN_ID}: its journal is damaged: {path}, line 4: its checksum does not match" in err
    assert f"look in the cloud for names that begin with vrb-1a2b3c4d and for the tag vrbench-run={RUN_ID}" in err


def test_cleanup_looks_also_where_no_line_is_left(
    path: Path, at_hand: Callable[[Lab], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """An emptied file says nothing of what was built; its run's name does."""
    with running_lab(QUICK) as lab:
        at_hand(lab)
        build_on(lab, path)
        path.write_bytes(b"")
        code = clean_up(path)
        assert lab.objects() == []
    out, err = capsys.readouterr()
    assert (code, out) == (Exit.NOT_VALID, "")
    assert f"{path}, line 1: it is missing: the file is empty" in err


def test_what_could_not_even_be_looked_for_is_left(
    path: Path, at_hand: Callable[[Lab], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is pending in an emptied journal, and the cloud is away: that is no removal."""
    path.write_bytes(b"")
    with running_lab(QUICK) as lab:
        at_hand(lab)
    code = clean_up(path)
    out, err = capsys.readouterr()
    assert (code, out) == (Exit.FAILED, "")
    assert "listAccounts: no answer from" in err
    assert f"{RUN_ID}: still there: whatever the damaged lines of its journal are about" in err


def test_an_object_that_only_its_tag_gives_away_is_told(
    path: Path, at_hand: Callable[[Lab], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """A journal that lost its last lines looks whole: what else carries the run's tag is told, and not touched."""
    with running_lab(QUICK) as lab:
        at_hand(lab)
        path.write_bytes(b"".join(build_on(lab, path)[:3]))
        code = clean_up(path)
        out, err = capsys.readouterr()
        assert lab.rows("listNetworks", "network")
    assert (code, out) == (Exit.FAILED, "")
    assert "network vrb-1a2b3c4d-net" in err
    assert "it carries this run's tag and is not in its journal" in err
