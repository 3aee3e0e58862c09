"""Real swap on a slow disk: a file behind a loop device, and processes that wait for their pages from it.

Pages of chosen processes alone are pushed out (``process_madvise``), and reads of chosen processes alone are slowed
down (a control group of version 1, or of version 2). A shell of its own takes everything away again once this process
has ended, however that happens; the file has no name any more by then.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.probes.rig import wait_for
from tests.probes.trials import stopped

SIZE_MB = 256
_PROCESS_MADVISE, _MADV_PAGEOUT = 440, 21  # the same number on every architecture; neither is named by Python 3.11
_CHUNK = 1 << 20
_GROUPS = Path("/sys/fs/cgroup")
_HOLD = """
file=$1 group=$2 limit=$3 fast=$4 device=
trap : INT TERM HUP
undo() {
    if [ -d "$group" ]; then
        [ -z "$device" ] || echo "$(stat -c %Hr:%Lr "$device") $fast" > "$group/$limit"
        while ! rmdir "$group" 2> /dev/null; do
            for pid in $(cat "$group/cgroup.procs"); do
                kill -CONT "$pid"; echo "$pid" > "${group%/*}/cgroup.procs"
            done
            sleep 0.05
        done
    fi 2> /dev/null
    [ -z "$device" ] || swapoff "$device"
}
fallocate -l "$5" "$file" && chmod 600 "$file" && mkswap "$file" > /dev/null &&
    found=$(losetup --find --show "$file") || { rm -f "$file"; exit 1; }
rm -f "$file"
swapon "$found" && device=$found
losetup -d "$found"
if [ -n "$device" ] && mkdir "$group"; then
    echo "$device"
    cat > /dev/null
fi
undo
"""


class _Range(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("start", ctypes.c_void_p), ("length", ctypes.c_size_t))


@dataclass(frozen=True)
class Swap:
    """Swap that is on (``number`` is its device's), and the group whose reads from it can be limited."""

    number: str
    group: Path
    limit: str
    slow: str
    fast: str

    @contextmanager
    def swapped_out(self, pids: Sequence[int], reads_per_s: int) -> Iterator[int]:
        """Let these wait for the slow disk, which reads up to eight pages at once; at the end of the block it is fast.

        Gives the kB that are out, of all together. Fails where one of them had less than 1 MB out, or never waited.
        """
        for pid in pids:
            (self.group / "cgroup.procs").write_text(str(pid))
        (self.group / self.limit).write_text(f"{self.number} {self.slow}{reads_per_s}")
        before = {pid: _faults(pid) for pid in pids}
        with stopped(pids):  # else they would fetch back what is still being written
            for pid in pids:
                _page_out(pid)
            time.sleep(0.1)  # until that is on the disk
            for pid in pids:
                # What was just written is still in memory: mapped again, and clean, it is given up at once.
                _touch(pid)
                _page_out(pid)
            out_kb = {pid: _swapped_kb(pid) for pid in pids}
        try:
            if min(out_kb.values()) < 1024:
                raise SystemExit(f"kB that were swapped out, by process: {out_kb}")
            yield sum(out_kb.values())
        finally:
            (self.group / self.limit).write_text(f"{self.number} {self.fast}")
        # A fault counts once its page is there, so not before the disk is fast again.
        wait_for(lambda: all(_faults(pid) > before[pid] for pid in pids), "pages from the disk")


@contextmanager
def swap(home: Path) -> Iterator[Swap]:
    """Swap for the block, its file in ``home``; ends the program with the machine's words where it can't be had."""
    first = (_GROUPS / "blkio").is_dir()
    root = _GROUPS / "blkio" if first else _GROUPS
    limit, slow, fast = ("blkio.throttle.read_iops_device", "", "0") if first else ("io.max", "riops=", "riops=max")
    if not first:
        (root / "cgroup.subtree_control").write_text("+io")
    group = root / f"vrbench-swap-{os.getpid()}"
    holder = subprocess.Popen(
        ["sh", "-c", _HOLD, "sh", str(home / "swap"), str(group), limit, fast, str(SIZE_MB << 20)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert holder.stdout
    try:
        device = holder.stdout.readline().strip()
        if not device:
            raise SystemExit("no swap can be had: it takes root on a machine (or in a VM) of one's own")
        number = os.stat(device).st_rdev
        yield Swap(f"{os.major(number)}:{os.minor(number)}", group, limit, slow, fast)
    finally:
        holder.communicate(timeout=60)
    if device in Path("/proc/swaps").read_text() or group.exists():
        raise SystemExit(f"{device} or {group} could not be taken away")


def _memory(pid: int) -> list[tuple[int, int]]:
    """Begin and end of what only this process has and can write: never pages that it shares with others."""
    words = (line.split() for line in Path(f"/proc/{pid}/maps").read_text().splitlines())
    spans = [w[0].split("-") for w in words if w[1].startswith("rw") and w[1].endswith("p")]
    return [(int(begin, 16), int(end, 16)) for begin, end in spans]


def _page_out(pid: int) -> None:
    spans = _memory(pid)
    ranges = (_Range * len(spans))(*(_Range(begin, end - begin) for begin, end in spans))
    libc = ctypes.CDLL(None, use_errno=True)
    opened = os.pidfd_open(pid)
    try:
        if libc.syscall(_PROCESS_MADVISE, opened, ranges, ctypes.c_size_t(len(spans)), _MADV_PAGEOUT, 0) < 0:
            raise OSError(ctypes.get_errno(), "process_madvise")
    finally:
        os.close(opened)


def _touch(pid: int) -> None:
    """Map all of it again, by reading it."""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for begin, end in _memory(pid):
            memory.seek(begin)
            left = end - begin
            while left:
                left -= len(memory.read(min(_CHUNK, left)))


def _swapped_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmSwap:")))


def _faults(pid: int) -> int:
    """How often the process has waited for a page from a disk."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[9])
