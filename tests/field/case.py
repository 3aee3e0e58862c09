"""One case from the field: what is done with which machine, files and cloud, and what must come of it.

Text of ``environ``, ``files``, ``argv`` and ``through`` may hold ``{WORDS}`` that are filled in: ``{EP}`` the lab's
endpoint, ``{FRONT}`` that of what stands before it (the lab's where nothing does), ``{KEY}`` and ``{SECRET}`` those of
the role, ``{HOME}``, ``{HERE}`` (the folder that the command runs in), ``{CERTS}`` (``fronts.py`` says what lies
there), and whatever ``around`` yields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from tests.field.fronts import Front

if TYPE_CHECKING:
    from tests.field.place import Place, Running

PROFILE = """name = "field"
[environment]
vms = 2
public_ips = 2
[trials]
count = 1
baseline = "2s"
validation = "2s"
settle = "0s"
[probes]
egress_target = "203.0.113.1"
control_target = "198.51.100.2"
"""
CLIENT_FILE = "[cloudstack]\nendpoint = {FRONT}\nkey = {KEY}\nsecret = {SECRET}\n"
FILES: Mapping[str, str | bytes | None] = MappingProxyType({"mini.toml": PROFILE, "cloudstack.ini": CLIENT_FILE})
DOCTOR = ("doctor", "mini.toml", "--no-calibrate")
RUN = ("run", "mini.toml", "--plain")
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Case:
    """A row: ``name`` it in a few words, tell in ``done`` what is done, and all that is not as usual.

    Usual is: an empty folder with mini.toml and a cloudstack.ini that is right, an empty home, root, nothing on stdin.
    """

    name: str
    done: str
    code: int
    said: tuple[str, ...] = ()  # all of these, on stdout or stderr; line breaks count as blanks
    unsaid: tuple[str, ...] = ()  # none of these
    changes: bool = False  # whether any call may have been made that changes something
    never: tuple[str, ...] = ()  # calls that may not be among them
    argv: tuple[str, ...] = DOCTOR
    environ: Mapping[str, str] = field(default_factory=dict)  # beside PATH, HOME, COLUMNS; "" takes one of these away
    files: Mapping[str, str | bytes | None] = field(default_factory=dict)  # beside FILES; None takes one away
    role: str = "root"  # or domadmin, or user
    front: Front | None = None
    faults: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # of the lab, by name
    through: tuple[str, ...] = ()  # what the command is given to, such as ("nohup",)
    uid: int = 0  # who runs it; the folder and the home are theirs
    around: Callable[[Place], AbstractContextManager[Mapping[str, str]]] | None = None  # set up first, taken down last
    meanwhile: Callable[[Running], None] | None = None  # what happens while it runs

    def __str__(self) -> str:
        """Return what the test is called by."""
        return self.name
