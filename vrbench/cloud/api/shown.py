"""What of a server's or a library's words is shown: one line, without a key, a secret, a signature or a password."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from vrbench.cloud.api.answers import NotAnAnswer, Received, Refused, unwrapped
from vrbench.core.text import visible

_LEAST_HIDDEN: Final = 6  # characters of a header's value
_MOST_READ: Final = 100_000  # characters
_MOST_WORDS: Final = 1000  # characters of a server's own words that are shown


@dataclass(frozen=True, slots=True)
class Shown:
    """Shows what others said, without the caller's own secrets."""

    secrets: Sequence[str] = field(repr=False)
    headers: Collection[str] = field(default=(), repr=False)  # values of headers, one may be a gateway's key

    def redacted(self, text: str) -> str:
        """Return text without what must not be shown, in any of its forms."""
        for hidden in (*self.secrets, *(value for value in self.headers if len(value) >= _LEAST_HIDDEN)):
            for form in (hidden, quote(hidden, safe=""), quote(hidden)):
                text = text.replace(form, "(hidden)") if form else text
        text = re.sub(r"://[^/\s'\"]*@", "://(hidden)@", text)
        return re.sub(r"(?i)(signature|apikey|secretkey)=[^&\s'\"]+", r"\1=(hidden)", text)

    def words(self, text: str) -> str:
        """Return the server's own words as one line that is fit to be shown: they may be anything, of any length."""
        said = visible(" ".join(self.redacted(text[:_MOST_READ]).split()))
        return said if len(said) <= _MOST_WORDS else f"{said[:_MOST_WORDS]} …"

    def start(self, got: Received) -> str:
        """Return the beginning of what came, so that one can tell a proxy's page from a server's."""
        kind = got.headers.get("Content-Type", "no content type").split(";")[0][:40]
        # Redacted before it is shortened: half a secret is a secret too.
        start = " ".join(self.redacted(got.body[:_MOST_READ].decode(errors="replace")).split())[:80]
        return f"HTTP {got.status}, {self.redacted(kind)!r}, {start!r}"

    def refusal(self, command: str, got: Received) -> str:
        """Return what came with a refusal: the server's own words, or the beginning of a page."""
        try:
            answer = unwrapped(command, got)
        except NotAnAnswer:
            return self.start(got)
        return self.words(answer.text) if isinstance(answer, Refused) else self.start(got)
