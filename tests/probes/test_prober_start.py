"""A prober that can't keep what it sees says so before anything is asked of the cloud."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from vrbench.cli.error_codes import code_and_text
from vrbench.cli.exits import Exit
from vrbench.probes.config import SamplesNotKept

START = """
import sys
from pathlib import Path
from vrbench.core.kinds import SSH_BANNER
from vrbench.core.model import Stream
from vrbench.probes.config import PhasedStream, ProbeError
from vrbench.probes.prober_process import ProberConfig, start_prober

k = SSH_BANNER
stream = Stream("s", k.direction, k.probe, k.flow, "127.0.0.1:9", 1.0)
try:
    start_prober(ProberConfig("banner", "harness", Path(sys.argv[1]), (PhasedStream(stream, 0.0),)))
except ProbeError as error:
    print(f"{type(error).__name__}: {error}")
"""


def test_a_full_disk_is_told_as_one(tmp_path: Path) -> None:
    """Not as a prober that failed: nothing is wrong with the guests. A limit of file sizes is met as a full disk is."""
    limited = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", sys.executable, "-c", START, str(tmp_path / "log")]
    said = subprocess.run(limited, capture_output=True, text=True, timeout=60, check=False)
    assert said.stdout.startswith(f"SamplesNotKept: can't write {tmp_path / 'log'}: File too large; free some space")


def test_a_full_disk_has_its_exit_code() -> None:
    """The samples could not be kept: 2, and not a failure of the cloud."""
    assert code_and_text(SamplesNotKept("can't write it"))[0] is Exit.NOT_VALID
