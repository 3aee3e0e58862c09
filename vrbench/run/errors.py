"""How a run can fail by itself, beside what cloud, guests and disk raise."""

from __future__ import annotations


class Interrupted(BaseException):
    """Ctrl-C, SIGTERM or SIGHUP arrived; like KeyboardInterrupt it passes every ``except Exception``."""


class OperationFailed(Exception):
    """The measured operation failed: more trials on that network would say nothing."""


class CannotReuse(Exception):
    """The environment of an earlier run can't be measured again; says why and what to do."""
