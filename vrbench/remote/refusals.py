"""What it means that a guest's sshd does not let us in, in words: what was offered, what it takes, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vrbench.core.text import visible

PUBLIC_KEY = "publickey"
_OURS = {"ed25519": ("ssh-ed25519",), "rsa": ("rsa-sha2-512", "rsa-sha2-256"), "ecdsa": ("ecdsa-sha2-nistp256",)}


@dataclass(frozen=True, slots=True)
class RefusedLogin:
    """A login that failed, as far as it was seen."""

    offered: tuple[str, ...] = ()  # kinds of keys
    methods: tuple[str, ...] = ()  # what sshd lets users try; empty where it did not say
    missing: tuple[str, ...] = ()  # what it wants beside the key that it took
    algorithms: tuple[str, ...] = ()  # of signatures that it says it takes; empty where it did not say
    hung_up: bool = False  # before all keys were offered
    banner: str = ""

    @property
    def words(self) -> str:
        """Say it in a sentence or two."""
        said = f" It says: '{visible(self.banner.strip())[:200]}'" if self.banner.strip() else ""
        reason = self._reason()
        return f"{reason}{'' if reason[-1] in '.?' else '.'}{said}" if said else reason

    def _reason(self) -> str:
        if self.missing:
            wanted = ", ".join(self.missing)
            return (
                f"login refused: the key is not enough, also wanted: {wanted}. Set AuthenticationMethods any in the "
                "template's sshd_config, or choose another template"
            )
        if self.methods and PUBLIC_KEY not in self.methods:
            return (
                f"login refused: this sshd takes no keys, only {', '.join(self.methods)}. Set PubkeyAuthentication yes "
                "in the template's sshd_config, or choose another template"
            )
        if not self.offered:
            return (
                f"login refused: this sshd takes none of the run's keys; it takes {', '.join(self.algorithms)}. Choose "
                "a template with OpenSSH 7.2 or later, or another cloud.ssh_key"
            )
        if self.hung_up:
            return (
                f"login refused: this sshd hung up after {_kinds(self.offered)} (MaxAuthTries). If that goes on, set "
                "cloud.ssh_key to the kind that it takes"
            )
        return (
            f"login refused: offered {_kinds(self.offered)}: does this user have the run's key in authorized_keys, and "
            "does sshd take one of these kinds (PubkeyAcceptedAlgorithms)?"
        )


def _kinds(kinds: Sequence[str]) -> str:
    """Say "an ed25519, an rsa and an ecdsa key"."""
    each = [f"an {kind}" for kind in dict.fromkeys(kinds)]
    return f"{' and '.join(filter(None, (', '.join(each[:-1]), each[-1])))} key"


def algorithms_of(kind: str) -> tuple[str, ...]:
    """Return by which signatures a kind of key may prove itself, the best first."""
    return _OURS[kind]


def not_in_common(version: str, reason: str) -> str:
    """Say that the two ends know no common way to talk at all."""
    return (
        f"its sshd ({visible(version) or 'of unknown version'}) and vrbench have no way to encrypt in common: "
        f"{visible(reason)}. Let the template's sshd take curve25519-sha256, aes256-ctr and hmac-sha2-256 as well "
        "(OpenSSH has them since 6.7), or choose another"
    )
