"""What can go wrong between this machine and a guest."""

from __future__ import annotations

from vrbench.core.text import visible


class RemoteError(RuntimeError):
    """A guest could not be reached, refused us, showed another key or did not answer; says which, why, what to do."""


class CommandFailed(RemoteError):
    """A streamed command ended by itself with an exit code other than 0."""


class NotCarriedOut(RemoteError):
    """The guest let us in, and ran something else than what it was asked; ``said``: what came of that."""

    def __init__(self, name: str, code: int, said: bytes) -> None:
        self.said = said.decode(errors="replace").strip()
        words = f"it said {visible(self.said)[:300]!r}" if self.said else "it said nothing"
        super().__init__(
            f"{name}: let us in, but does not run what it is asked (exit code {code}); {words}. Look at the user's "
            "shell, and for a forced command in authorized_keys or sshd_config; or set another cloud.ssh_user"
        )


class LoginRefused(RemoteError):
    """The guest answered, and does not take the run's key."""


class HostKeyChanged(RemoteError):
    """Another host key than at first contact."""


class NoAnswer(RemoteError):
    """Nothing came in time."""
