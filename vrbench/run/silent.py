"""The screen of a run that nobody watches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from vrbench.core.log.growing_log import StreamState


class SilentScreen:
    """Shows nothing (port ``core.ports.RunScreen``); others override what they show."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        return None

    def label(self, rows: Mapping[str, str]) -> None:
        return None

    def phase(self, name: str, following: str) -> None:
        return None

    def watch(self, states: Sequence[StreamState], now_ns: int, job: str) -> None:
        return None

    def doing(self, text: str) -> None:
        return None

    def note(self, text: str) -> None:
        return None
