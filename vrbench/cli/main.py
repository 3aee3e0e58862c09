"""The vrbench command: one lazy group, so that ``--help`` loads nothing it doesn't need; errors become exit codes."""

from __future__ import annotations

import gc
import importlib
import io
import os
import signal
import sys
import warnings

import click

from vrbench import __version__
from vrbench.cli import streams
from vrbench.cli.exits import Exit, UsageProblem
from vrbench.cli.say import say
from vrbench.core.suggest import nearest
from vrbench.run.interrupts import HANDLED

COMMANDS = {
    "demo": ("vrbench.cli.demo", "The main job on the embedded lab, nothing to configure."),
    "init": ("vrbench.cli.init", "Ask a cloud what it offers, and write a profile for it."),
    "run": ("vrbench.cli.run", "Build a network, restart its router, measure the outage, remove all."),
    "doctor": ("vrbench.cli.doctor", "Check everything before anything is built."),
    "cleanup": ("vrbench.cli.cleanup", "Remove what a crashed run left, from its journal."),
    "calibrate": ("vrbench.cli.calibrate", "Inject known outages on the lab, show measured beside true."),
    "analyze": ("vrbench.cli.analyze", "Recompute and show every figure of stored runs."),
    "export": ("vrbench.cli.export", "Write a table of stored runs as CSV, Parquet or JSON."),
    "profiles": ("vrbench.cli.profiles", "List the shipped profiles, show one, or the keys there are."),
    "lab": ("vrbench.cli.lab", "The zone in a box, by hand: up, status, exec, outage, fault, phases, down."),
}


NEED_LINUX = ("demo", "run", "doctor", "calibrate", "lab")  # they send probes, or start a lab
NEED_POSIX = ("init", "cleanup")  # Windows has no locks and no owners of files as they know them
WORK_ON = ("demo", "run", "cleanup", "calibrate", "lab")  # they have more to do when nobody reads what they say

MOST_WORDS = 2000  # characters of what is wrong with a command line


class LazyGroup(click.Group):
    """Knows its commands by name and imports one only when it is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        close = nearest(args[0], COMMANDS)
        if args[0] not in COMMANDS and close:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {close[0]}?")
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        elsewhere = {"linux": (), "win32": (*NEED_LINUX, *NEED_POSIX)}.get(sys.platform, NEED_LINUX)
        if cmd_name in elsewhere:
            others = ", ".join(name for name in COMMANDS if name not in elsewhere)
            raise UsageProblem(f"vrbench {cmd_name} needs Linux, and this is {sys.platform}; what works here: {others}")
        if cmd_name in WORK_ON:
            streams.work_on()
        command = importlib.import_module(COMMANDS[cmd_name][0]).command
        if not isinstance(command, click.Command):
            raise TypeError(f"{COMMANDS[cmd_name][0]} has no command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: vrbench demo",
)
@click.version_option(__version__, prog_name="vrbench")
def cli() -> None:
    """How long is a tenant's network down when its virtual router is restarted?

    vrbench builds an isolated network through the CloudStack API, triggers the operation, probes at fine intervals,
    totals the outage windows with their bounds, and removes all that it built.
    """
    try:
        os.getcwd()
    except FileNotFoundError:
        raise UsageProblem("the folder that this was started in is gone: change to one that is there") from None


def main() -> None:
    """Run the command and exit by the table of ``Exit``."""
    streams.settle()
    if not sys.warnoptions:  # what libraries warn their developers of says nothing to an operator
        warnings.simplefilter("ignore")
    warnings.filterwarnings("ignore", message="Unverified HTTPS request")  # said in a line of ours
    gc.set_threshold(100_000)  # few values point at each other in circles: to look for those less often saves time
    # numpy starts a thread on every core for linear algebra, which nothing here needs; those take longer than it does.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    code = _run()
    if problem := streams.finish():
        say(f"vrbench: {problem}", err=True)
        code = code or Exit.NOT_VALID
    for late in HANDLED:
        signal.signal(late, signal.SIG_IGN)  # all is done and told: it must not become another exit code
    sys.exit(code)


def _run() -> int:
    try:
        result = cli.main(standalone_mode=False)
        return int(result) if isinstance(result, int) else Exit.OK
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        say(_words(error), err=True)
        return Exit.USAGE
    except click.Abort:
        return Exit.NOT_VALID
    except streams.NobodyReads:
        return Exit.OK
    except Exception as error:  # noqa: BLE001  the last door: known errors get their words and code, others are bugs
        return _explain(error)


def _words(error: click.ClickException) -> str:
    """Return what click says of a wrong command line, which it quotes as it came."""
    out = io.StringIO()
    error.show(out)
    words = out.getvalue().rstrip()
    return words if len(words) <= MOST_WORDS else f"{words[:MOST_WORDS]}…"


def _explain(error: Exception) -> int:
    """Print an error in words and return its exit code; an unknown one is a bug and prints where it happened."""
    from vrbench.cli.error_codes import code_and_text

    code, text = code_and_text(error)
    say(f"vrbench: {text}", err=True)
    return code
