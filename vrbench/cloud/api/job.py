"""A job of the cloud's, which is looked at until it ends."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Job:
    """A job that the server accepted; ``id`` is the object it creates, where that is known at once."""

    command: str
    jobid: str
    id: str | None = None
