"""What can go wrong between this machine and a guest."""

from __future__ import annotations


class RemoteError(RuntimeError):
    """A guest could not be reached, refused us, showed another key or did not answer; says which, why, what to do."""


class CommandFailed(RemoteError):
    """A streamed command ended by itself with an exit code other than 0."""


class LoginRefused(RemoteError):
    """The guest answered, and does not take the run's key."""


class HostKeyChanged(RemoteError):
    """Another host key than at first contact."""


class NoAnswer(RemoteError):
    """Nothing came in time."""
