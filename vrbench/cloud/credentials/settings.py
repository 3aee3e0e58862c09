"""Every setting that the ``cs`` client knows, as one table: what it is, how it is read, and why one is not honoured.

A row without a reason is honoured: it acts on what is sent. The documents' table is made of these rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from vrbench.core.suggest import nearest

NEEDED: Final = ("endpoint", "key", "secret")
HEADER: Final = "header_"
PREFIX: Final = "CLOUDSTACK_"


class Shape(Enum):
    """What a value may hold: that decides what beside it was surely not meant."""

    WORD = auto()  # no blank, no quote
    TEXT = auto()  # a path: blanks within it count
    VERBATIM = auto()  # all of it counts


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting, by its name in a file; ``not_honoured`` says why it has no effect here, and what has."""

    name: str
    help: str
    shape: Shape = Shape.WORD
    not_honoured: str = ""

    @property
    def variable(self) -> str:
        """Its name in the environment; a header has none, as in cs."""
        return "" if self.name.startswith(HEADER) else PREFIX + self.name.upper()


SETTINGS: Final = (
    Setting("endpoint", "the API's address"),
    Setting("key", "the API key"),
    Setting("secret", "the secret that belongs to the key"),
    Setting("method", "`get` or `post`: how every call is sent; `post` where it is left out"),
    Setting("timeout", "whole seconds that a call which only looks may take; one that changes something takes longer"),
    Setting("retry", "how often a call that only looks is sent again when the connection broke"),
    Setting(
        "retry_backoff", "seconds before it is sent again; doubled each time, up to 30; `0.5` where it is left out"
    ),
    Setting("expiration", "whole seconds that a signature is good for; negative: for ever; `600` where it is left out"),
    Setting(
        "verify", "a file or folder of certificates to trust; `false`: TLS certificates are not checked", Shape.TEXT
    ),
    Setting("dangerous_no_tls_verify", "`true`: TLS certificates are not checked; `verify` goes before it"),
    Setting("cert", "a client certificate (PEM)", Shape.TEXT),
    Setting("cert_key", "the key of the client certificate, where it is in a file of its own", Shape.TEXT),
    Setting("header_*", "a header that is sent with every call; in files only", Shape.VERBATIM),
    Setting("job_timeout", "how long a job is waited for", not_honoured="the profile's operation.job_timeout says so"),
    Setting(
        "poll_interval", "how often a job is looked at", not_honoured="an operation's end is timed by our own looks"
    ),
    Setting("trace", "shows every request", not_honoured="it would show the key; the journal has the calls"),
    Setting("theme", "colours of what cs prints", Shape.TEXT, not_honoured="only cs prints by it"),
)
# Read from the environment alone: they say where to look.
PLACES: Final = (
    ("CLOUDSTACK_CONFIG", "one more file; it is read last, and so wins"),
    ("CLOUDSTACK_REGION", "the section of the files, or CloudMonkey's profile; `cloudstack` where it is left out"),
    ("CLOUDSTACK_OVERRIDES", "names of settings for which the environment wins over the files, which are read then"),
)
OF_OTHER_TOOLS: Final = {  # Terraform, Packer and others
    "CLOUDSTACK_API_URL": "CLOUDSTACK_ENDPOINT",
    "CLOUDSTACK_API_KEY": "CLOUDSTACK_KEY",
    "CLOUDSTACK_SECRET_KEY": "CLOUDSTACK_SECRET",
}
OTHER_NAMES: Final = {  # as other tools call the same in their files
    "url": "endpoint",
    "api_url": "endpoint",
    "apikey": "key",
    "api_key": "key",
    "secretkey": "secret",
    "secret_key": "secret",
    "api_secret": "secret",
}
_BY_NAME: Final = {setting.name: setting for setting in SETTINGS}


def setting_of(name: str) -> Setting | None:
    """Return the setting that a name in a file stands for."""
    return _BY_NAME["header_*"] if name.startswith(HEADER) else _BY_NAME.get(name)


def nearest_variable(variable: str) -> str:
    """Return the variable that was probably meant by one that nobody reads; '' where none is near."""
    known = [setting.variable for setting in SETTINGS if setting.variable] + [name for name, _ in PLACES]
    return "" if variable in known else next(iter(nearest(variable, known)), "")
