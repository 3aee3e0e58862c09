"""Which error ends in which exit code, and how it is worded."""

from __future__ import annotations

import traceback

from vrbench.cli.exits import Exit
from vrbench.core.findings import Foreseen, exit_code

# By name, since importing the classes would load every heavy library on the way to a message; a test holds the names.
FAMILIES = {
    "vrbench.cli.exits.UsageProblem": Exit.USAGE,
    "vrbench.private.NotPrivate": Exit.USAGE,
    "vrbench.run.errors.CannotReuse": Exit.USAGE,
    "vrbench.run.errors.OperationFailed": Exit.FAILED,
    "vrbench.core.plan.profile.ProfileError": Exit.USAGE,
    "vrbench.cloud.errors.ConfigurationError": Exit.USAGE,
    "vrbench.cloud.errors.UnknownOperation": Exit.USAGE,
    "vrbench.report.export_files.ExportError": Exit.USAGE,
    "vrbench.cloud.errors.CloudError": Exit.FAILED,
    "vrbench.run.trial.CannotSendHere": Exit.USAGE,
    "vrbench.run.trial.UnfitBaseline": Exit.FAILED,
    "vrbench.remote.errors.RemoteError": Exit.FAILED,
    "vrbench.lab.status.ImpossibleLab": Exit.USAGE,
    "vrbench.lab.status.LabError": Exit.FAILED,
    "vrbench.probes.config.SamplesNotKept": Exit.NOT_VALID,
    "vrbench.probes.config.ProbeError": Exit.FAILED,
    "vrbench.store.files.NoSuchRun": Exit.USAGE,
    "vrbench.store.files.NotYours": Exit.USAGE,
    "vrbench.store.files.StoreError": Exit.NOT_VALID,
    "builtins.OSError": Exit.NOT_VALID,
    "builtins.MemoryError": Exit.NOT_VALID,
    "builtins.ImportError": Exit.USAGE,
    "vrbench.cloud.journal.journal.JournalError": Exit.NOT_VALID,
}


def code_and_text(error: Exception) -> tuple[int, str]:
    """Return the exit code and the text for an error; one of no family of ours is a bug, with its place in the code."""
    if isinstance(error, Foreseen):
        return exit_code(error.findings), str(error)
    for kind in type(error).__mro__:
        code = FAMILIES.get(f"{kind.__module__}.{kind.__qualname__}")
        if code is not None:
            return code, _words(error)
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    where = " < ".join(f"{f.filename.rpartition('/')[2]}:{f.lineno} {f.name}" for f in reversed(frames))
    return Exit.BUG, f"a bug in vrbench: {type(error).__name__}: {error} (at {where}); please report it"


def _words(error: Exception) -> str:
    """Return an error's text; what the system says of a file is worded like our own errors, and no memory has none."""
    if isinstance(error, MemoryError):
        return "not enough memory here: what was read is too large for this machine"
    if isinstance(error, ImportError):
        return f"a library is missing here, or does not work: {error}. Install vrbench anew, with its libraries"
    if isinstance(error, OSError) and error.strerror:
        return ": ".join(str(part) for part in (error.filename, error.strerror) if part)
    return str(error)
