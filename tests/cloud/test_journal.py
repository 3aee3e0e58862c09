"""The journal: on disk before the call, readable after a crash."""

from __future__ import annotations

import json
import resource
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vrbench.cloud.journal.journal import Journal, JournalError
from vrbench.cloud.journal.lines import sealed
from vrbench.cloud.journal.replay import Head

HEAD = Head("20261124T120000Z-ab12", "http://127.0.0.1:1/client/api", "tenant", "domain-id")


def test_what_is_not_destroyed_is_pending_newest_first(tmp_path: Path) -> None:
    """The life of three objects, read back from disk."""
    with Journal.create(tmp_path / "j", HEAD) as journal:
        journal.intend("network", "net", {"name": "net"})
        journal.created("net", "id-1")
        journal.intend("vm", "vm1", {"name": "vm1"})
        journal.intend("vm", "vm2", {"name": "vm2"})
        journal.destroyed("vm1")
    with Journal.open(tmp_path / "j") as journal:
        assert journal.head == HEAD
        assert [(e.key, e.kind, e.id, dict(e.params)) for e in journal.pending()] == [
            ("vm2", "vm", None, {"name": "vm2"}),
            ("net", "network", "id-1", {"name": "net"}),
        ]


def test_the_file_is_the_owners_alone(tmp_path: Path) -> None:
    """Mode 0600."""
    Journal.create(tmp_path / "j", HEAD).close()
    assert stat.S_IMODE((tmp_path / "j").stat().st_mode) == 0o600


def test_an_intent_is_on_disk_when_intend_returns(tmp_path: Path) -> None:
    """Nothing is buffered in the process."""
    with Journal.create(tmp_path / "j", HEAD) as journal:
        journal.intend("vm", "vm1", {})
        assert json.loads((tmp_path / "j").read_bytes().splitlines()[-1])["event"] == "intended"


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_last_line_is_dropped_and_the_file_goes_on(tmp_path: Path, cut: int) -> None:
    """Wherever the crash cut the last line, what comes after it stays readable."""
    with Journal.create(tmp_path / "j", HEAD) as journal:
        journal.intend("vm", "vm1", {})
        journal.intend("vm", "vm2", {"name": "a long enough name for the cut"})
    content = (tmp_path / "j").read_bytes()
    (tmp_path / "j").write_bytes(content[:-cut])
    with Journal.open(tmp_path / "j") as journal:
        assert [entry.key for entry in journal.pending()] == ["vm1"]
        journal.created("vm1", "id-1")
    with Journal.open(tmp_path / "j") as journal:
        assert [(entry.key, entry.id) for entry in journal.pending()] == [("vm1", "id-1")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1: it is missing: the file is empty"),
        (b"{}\n", "line 1: it has no checksum at its end"),
        (sealed({"format": "vrbench-journal/9"}, 1), "this version reads .* use the version of vrbench that wrote it"),
        (b"not json\n", "line 1: it has no checksum at its end"),
        (b'{"format":"vrbench-journal/1"}\n', "line 1: it is not a record of a journal"),
    ],
)
def test_what_is_no_journal_is_said_to_be_none(tmp_path: Path, content: bytes, message: str) -> None:
    """A file of another kind is never acted on."""
    (tmp_path / "j").write_bytes(content)
    with pytest.raises(JournalError, match=message):
        Journal.open(tmp_path / "j")


def test_a_broken_line_in_the_middle_is_an_error_with_its_number(tmp_path: Path) -> None:
    """Only the last line can be torn; anything else is damage that a person must look at."""
    with Journal.create(tmp_path / "j", HEAD) as journal:
        journal.intend("vm", "vm1", {})
    with (tmp_path / "j").open("ab") as file:
        file.write(b'garbage\n{"event":"destroyed","key":"vm1"}\n')
    with pytest.raises(JournalError, match="line 3"):
        Journal.open(tmp_path / "j")


def test_a_journal_is_never_written_over(tmp_path: Path) -> None:
    """A second run may not take the file of the first."""
    Journal.create(tmp_path / "j", HEAD).close()
    with pytest.raises(JournalError, match="already"):
        Journal.create(tmp_path / "j", HEAD)


def test_keys_are_used_once(tmp_path: Path) -> None:
    """Two objects under one key would hide one of them."""
    with Journal.create(tmp_path / "j", HEAD) as journal:
        journal.intend("vm", "vm1", {})
        with pytest.raises(JournalError, match="in the journal already"):
            journal.intend("vm", "vm1", {})


def test_a_running_vrbench_keeps_others_out(tmp_path: Path) -> None:
    """A clean-up beside a live run is refused, and possible when that run has died."""
    code = (
        "import sys; from pathlib import Path; from vrbench.cloud.journal.journal import *\n"
        "j = Journal.create(Path(sys.argv[1]), Head('r', 'e', 'a', 'd')); print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "j")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(JournalError, match="still running"):
            Journal.open(tmp_path / "j")
        other.send_signal(signal.SIGKILL)
        other.wait()
    Journal.open(tmp_path / "j").close()


def test_a_full_disk_is_an_error_and_leaves_no_half_line(tmp_path: Path) -> None:
    """The call that would follow is not made, and what was written before stays readable."""
    with Journal.create(tmp_path / "j", HEAD) as journal:
        journal.intend("vm", "vm1", {})
        size = (tmp_path / "j").stat().st_size
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, hard))
        try:
            with pytest.raises(JournalError, match="free some space"):
                journal.intend("vm", "vm2", {"name": "does not fit"})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, ignored)
        journal.created("vm1", "id-1")
    with Journal.open(tmp_path / "j") as journal:
        assert [(entry.key, entry.id) for entry in journal.pending()] == [("vm1", "id-1")]


def test_threads_write_whole_lines(tmp_path: Path) -> None:
    """Ten threads at once lose nothing."""
    with Journal.create(tmp_path / "j", HEAD) as journal:

        def write(thread: int) -> None:
            for number in range(10):
                journal.intend("vm", f"{thread}-{number}", {})
                journal.created(f"{thread}-{number}", "id")

        threads = [threading.Thread(target=write, args=(number,)) for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with Journal.open(tmp_path / "j") as journal:
        assert len(journal.pending()) == 100
        assert all(entry.id == "id" for entry in journal.pending())


def test_a_journal_that_can_not_be_begun_leaves_none(tmp_path: Path) -> None:
    """Nothing was made yet: an empty file would only be in the way of the next one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(JournalError, match="can't be written"):
            Journal.create(tmp_path / "j", HEAD)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_place_where_none_can_be_is_told(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="can't be opened: No such file or directory"):
        Journal.open(tmp_path / "nowhere" / "j")


def test_what_comes_too_late_is_told(tmp_path: Path) -> None:
    """A thread that still waits for its answer when the journal is closed, once or twice."""
    journal = Journal.create(tmp_path / "j", HEAD)
    journal.intend("vm", "vm1", {})
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="came too late"):
        journal.created("vm1", "id")


def test_parameters_that_are_none_are_refused(tmp_path: Path) -> None:
    """With the number of the line."""
    Journal.create(tmp_path / "j", HEAD).close()
    with (tmp_path / "j").open("a") as file:
        record = {"event": "intended", "key": "k", "kind": "vm", "params": [], "at": "2026-11-24"}
        file.write(sealed(record, 2).decode())
    with pytest.raises(JournalError, match=r"line 2: it is not a record of a journal \(params must be"):
        Journal.open(tmp_path / "j")
