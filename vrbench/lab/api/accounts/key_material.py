"""What the server takes for a public key, by its release: it looks at the first word, and at nothing behind it."""

from __future__ import annotations

import base64
import hashlib
import re

from vrbench.lab.api.state import errors
from vrbench.lab.api.state.versions import ServerVersion

_SINCE_EVER = ("ssh-rsa", "ssh-dss")
_SINCE_4_14 = ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-ed25519")


def public_key_of(material: str, version: ServerVersion) -> str:
    """Return the type and the key without its comment, as the server keeps them; it doesn't ask whether it is one.

    A text without a blank is taken for base64 of all of it. Raises ApiError in the server's words.
    """
    if " " not in material:
        material = _decoded(material).decode(errors="replace")
    known = _SINCE_EVER + _SINCE_4_14 if version.since(4, 14) else _SINCE_EVER
    words = material.rstrip(" ").split(" ")
    if not material.startswith(known) or len(words) < 2:
        raise errors.invalid("Public key is invalid")
    return f"{words[0]} {words[1]}"


def fingerprint_of(public: str, as_root: bool) -> str:
    """Return the MD5 in colons of what stands behind the type, read as base64; two blanks there are an inner error."""
    words = public.split(" ")
    if not words[1]:
        raise errors.unexpected("Incorrect public key is passed in", as_root)
    return hashlib.md5(_decoded(words[1]), usedforsecurity=False).digest().hex(":")


def _decoded(text: str) -> bytes:
    """Read base64 as the server's library does: what is none of its characters is passed over."""
    letters = re.sub(r"[^A-Za-z0-9+/]", "", text.partition("=")[0].replace("-", "+").replace("_", "/"))
    whole = len(letters) - (len(letters) % 4 == 1)  # six bits alone are no byte
    return base64.b64decode(letters[:whole] + "=" * (-whole % 4))
