"""Where cases are played: a standing lab, and for each case a folder, a home and an environment of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cli.zone import ROOT, STOOD_STILL, VRBENCH, Zone, wait_for
from tests.field.case import FILES, NOTHING, Case
from tests.field.fronts import certificates, standing
from vrbench.cli.exits import Exit
from vrbench.lab import lifecycle

LONGEST_S = 200
KEPT = "-all,+dac_read_search"  # of a user's capabilities: the Python of these tests may lie in another user's home
BECOME = ("setpriv", "--clear-groups", f"--bounding-set={KEPT}", f"--inh-caps={KEPT}", f"--ambient-caps={KEPT}")
NEVER_SAID = ("Traceback", "a bug in vrbench", "InsecureRequestWarning", "urllib3", "<frozen ")


@dataclass(frozen=True)
class Told:
    """How a command ended, what it said, and which calls reached the lab meanwhile that change something."""

    code: int
    out: str
    err: str
    calls: tuple[str, ...]

    @property
    def words(self) -> str:
        """All that was said, line breaks and indents as single blanks."""
        return " ".join(f"{self.out}\n{self.err}".split())

    @property
    def held_up(self) -> bool:
        """Whether a trial is worth less since this machine stood still, as it says itself: nothing else is wrong."""
        return self.code == Exit.NOT_VALID and any(kind.happened in self.words for kind in STOOD_STILL)


@dataclass(frozen=True)
class Running:
    """A command under way; what it says goes to files."""

    process: subprocess.Popen[bytes]
    here: Path
    out: Path
    err: Path

    def hear(self, words: str) -> None:
        """Wait until it has said these words, on stdout or stderr; fails where it ends without."""

        def heard() -> bool:
            ended = self.process.poll() is not None
            said = self.out.read_text(errors="replace") + self.err.read_text(errors="replace")
            assert words in said or not ended, f"ended without {words!r}: {said}"
            return words in said

        wait_for(words, heard)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the command."""
        self.process.send_signal(number)


class Place:
    """A standing lab, and what cases need beside it. One for each worker of the tests."""

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        self.certificates = zone.here / "certificates"
        self.certificates.mkdir()
        certificates(self.certificates)

    def hold(self, case: Case) -> Told:
        """Play a case, and check that all came of it that must."""
        told = self.play(case)
        said = f"exit code {told.code}, calls {told.calls}\n{told.out}\n{told.err}"
        assert told.code == case.code or (case.code == Exit.OK and told.held_up), said
        assert [words for words in case.said if words not in told.words] == [], said
        secret = self.zone.status.callers[case.role].secretkey
        assert [words for words in (*case.unsaid, *NEVER_SAID, secret) if words in told.words] == [], said
        assert case.changes or not told.calls, said
        assert [call for call in told.calls if call in case.never] == [], said
        if told.calls:
            assert self.zone.left() == [], said
        return told

    def play(self, case: Case) -> Told:
        """Do what a case says, and return what came of it."""
        before = len(lifecycle.calls(self.zone.state))
        with self.started(case) as running:
            if case.meanwhile:
                case.meanwhile(running)
            try:
                code = running.process.wait(LONGEST_S)
            finally:
                _end(running.process)
            out, err = (path.read_text("utf-8", errors="replace") for path in (running.out, running.err))
        calls = lifecycle.calls(self.zone.state, before)
        return Told(code, out, err, tuple(call["command"] for call in calls))

    @contextmanager
    def started(self, case: Case) -> Iterator[Running]:
        """Set up all that a case is about, and start its command."""
        with ExitStack() as stack:
            base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="field-")))
            words = self._words(case, base)
            words |= stack.enter_context(case.around(self)) if case.around else NOTHING
            if case.front:
                front = standing(case.front, self.zone.state, words["EP"], self.certificates)
                words["FRONT"] = stack.enter_context(front)
            for name, parameters in case.faults.items():
                stack.callback(lifecycle.fault, self.zone.state, name, on=False)
                lifecycle.fault(self.zone.state, name, parameters)
            _write(case, words, base)
            out, err = (stack.enter_context(open(base / name, "wb")) for name in ("out", "err"))
            process = subprocess.Popen(
                lifecycle.enter(self.zone.state, "upstream", _command(case, words)),
                cwd=base / "here",
                env=_environment(case, words),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
            yield Running(process, base / "here", base / "out", base / "err")

    def _words(self, case: Case, base: Path) -> dict[str, str]:
        keys, endpoint = self.zone.status.callers[case.role], self.zone.status.endpoint
        places = {"HERE": str(base / "here"), "HOME": str(base / "home"), "CERTS": str(self.certificates)}
        return {"EP": endpoint, "FRONT": endpoint, "KEY": keys.apikey, "SECRET": keys.secretkey, **places}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what outlived its time, and what it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def filled(text: str, words: Mapping[str, str]) -> str:
    """Put what they stand for in place of {WORDS}."""
    return re.sub(r"\{([A-Z_]+)\}", lambda found: words.get(found[1], found[0]), text)


def _write(case: Case, words: Mapping[str, str], base: Path) -> None:
    """Make the folder and the home, and put the case's files there; all of it belongs to whoever runs the command."""
    for name in ("here", "home"):
        (base / name).mkdir(mode=0o700)
    for name, content in {**FILES, **case.files}.items():
        path = base / "here" / filled(name, words)
        if content is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else filled(content, words).encode())
            path.chmod(0o600)
    if case.uid:
        for path in (base, *base.rglob("*")):
            os.chown(path, case.uid, case.uid)


def _command(case: Case, words: Mapping[str, str]) -> list[str]:
    as_user = [*BECOME, f"--reuid={case.uid}", f"--regid={case.uid}"] if case.uid else []
    through, argv = ([filled(word, words) for word in some] for some in (case.through, case.argv))
    return [*through, *as_user, *VRBENCH, *argv]


def _environment(case: Case, words: Mapping[str, str]) -> dict[str, str]:
    usual = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": words["HOME"], "COLUMNS": "100"}
    usual |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    given = {name: filled(value, words) for name, value in case.environ.items()}
    return {name: value for name, value in {**usual, **given}.items() if value or name not in usual}
