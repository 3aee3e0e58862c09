"""How list calls choose rows: a parameter left out asks for nothing; text is compared in any case, as MySQL does."""

from __future__ import annotations

from collections.abc import Mapping

from vrbench.lab.api.request.call import Call

NOTHING: Mapping[str, str] = {}
NO_FLAGS: Mapping[str, bool] = {}


def fits(
    call: Call,
    exactly: Mapping[str, str | None],
    parts: Mapping[str, str] = NOTHING,
    flags: Mapping[str, bool] = NO_FLAGS,
) -> bool:
    """Return whether a row with these values is asked for; of ``parts`` the call names a piece, None equals nothing."""
    return (
        all(_same(call.text(name), value) for name, value in exactly.items())
        and all((call.text(name) or "").lower() in value.lower() for name, value in parts.items())
        and all(call.text(name) in (None, "") or call.flag(name) == value for name, value in flags.items())
    )


def _same(wanted: str | None, value: str | None) -> bool:
    return not wanted or (value is not None and wanted.lower() == value.lower())
