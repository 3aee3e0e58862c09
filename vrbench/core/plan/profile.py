"""Profile: what the operator wrote. TOML text in; a frozen Profile out, or one error that lists every problem.

The keys are declared in ``tables``. ``reference()`` turns the same declarations into the documentation of the keys.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from vrbench.core import values
from vrbench.core.kinds import HEADLINE, KINDS, Direction
from vrbench.core.plan.not_toml import explained
from vrbench.core.plan.tables import TABLES, CloudTable, EnvironmentTable, ProbesTable, Profile, TrialsTable
from vrbench.core.suggest import did_you_mean
from vrbench.core.text import some

REQUIRED = (("probes", "egress_target"),)
FINEST_S = 0.005  # between probes of a stream
# The reader's time grows with the cube of a key's parts: five thousand take it half a minute.
_LONG_KEY = re.compile(r"(?:\.[ \t]{0,9}[\w\"'-]{1,200}[ \t]{0,9}){20}")
FEW = 10  # mistakes of one kind that are told one by one


class ProfileError(ValueError):
    """The profile can't be used; ``problems`` holds one sentence for each thing wrong with it."""

    def __init__(self, source: str, problems: list[str]) -> None:
        self.source, self.problems = source, problems
        count = some(len(problems), "problem")
        super().__init__(f"{source}: {count}\n" + "\n".join(f"  {p}" for p in problems))


@dataclass(frozen=True, slots=True)
class Places:
    """Where keys were written: in a profile's text (its lines by table and key), or by --set."""

    lines: Mapping[tuple[str | None, str], int]
    set_by_hand: tuple[str, ...]  # "table.key"

    @classmethod
    def of(cls, text: str, settings: Iterable[str]) -> Places:
        """Look for them: tomllib tells no positions."""
        lines: dict[tuple[str | None, str], int] = {}
        table: str | None = None
        for number, line in enumerate(text.split("\n"), 1):
            if header := re.match(r"\s*\[\s*([^\]]+?)\s*\]", line):
                table = header[1]
                lines.setdefault((None, table), number)
            elif key := re.match(r"\s*[\"']?([^\"'=\s]+)[\"']?\s*=", line):
                lines.setdefault((table, key[1]), number)
        return cls(lines, tuple(setting.partition("=")[0].strip() for setting in settings))

    def at(self, table: str | None, key: str) -> str:
        """Return 'line 12: ' where the key (or table) stands, or ''."""
        if f"{table}.{key}" in self.set_by_hand:
            return "--set: "
        if table is None and any(setting.startswith(f"{key}.") for setting in self.set_by_hand):
            return "" if (None, key) in self.lines else "--set: "
        return f"line {self.lines[table, key]}: " if (table, key) in self.lines else ""


def load_profile(text: str, name: str, settings: tuple[str, ...] = (), source: str = "") -> Profile:
    """Read TOML ``text`` with ``settings`` ("table.key=value") laid over it.

    Raises ProfileError with every problem, each with its place in ``source`` (a file's path; left out: ``name``).
    """
    source = source or f"profile {name}"
    try:
        written = _parse(text)
    except ValueError as error:
        raise ProfileError(source, [f"not TOML: {error}"]) from None
    problems = [p for s in settings if (p := _lay_over(written, s))]
    profile_name = written.pop("name", name)
    places = Places.of(text, settings)
    problems += _unknown_tables(written, places)
    tables: dict[str, Any] = {t: _read_table(t, written.get(t), places, problems) for t in TABLES}
    problems += _missing(written) + _contradictions(tables)
    try:
        values.text(profile_name)
    except ValueError as error:
        problems.append(f"name: {error}")
    if problems:
        raise ProfileError(source, problems)
    if "lab" not in written:
        tables["lab"] = None
    return Profile(name=profile_name, **tables)


def _parse(text: str) -> dict[str, Any]:
    """Return what TOML says. Raises ValueError with a sentence, also where Python's own limits are met."""
    if _LONG_KEY.search(text):
        raise ValueError("a key in it has more than twenty parts")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(explained(text, str(error))) from None
    except ValueError:
        raise ValueError("a number in it has thousands of digits") from None
    except RecursionError:
        raise ValueError("something in it is nested too deep") from None


def reference() -> Iterator[tuple[str, str, str, str]]:
    """Return every key there is: (table, key, default as TOML, help)."""
    for table, kind in TABLES.items():
        for f in fields(kind):
            yield table, f.name, _as_toml(f.default, f.metadata["read"]), str(f.metadata["help"])


def _as_toml(value: object, read: Callable[[object], object]) -> str:
    if isinstance(value, float) and not _reads(value, read):
        return f'"{values.show_duration(value)}"'
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else f'"{value}"' if isinstance(value, str) else str(value)


def _reads(value: object, read: Callable[[object], object]) -> bool:
    """Return whether a key takes a value as it is; a duration is written as text with its unit."""
    try:
        read(value)
    except ValueError:
        return False
    return True


def _lay_over(written: dict[str, Any], setting: str) -> str | None:
    """Put one --set into the tables; returns the problem with it, if any."""
    try:
        table, key, value = read_setting(setting)
    except ValueError as error:
        return str(error)
    if not isinstance(written.setdefault(table, {}), dict):
        return f"--set {values.shortened(setting)}: {table} is not a table"
    written[table][key] = value
    return None


def read_setting(setting: str) -> tuple[str, str, object]:
    """Return table, key and value of a --set. Raises ValueError with a sentence."""
    path, equals, value = setting.partition("=")
    table, dot, key = path.strip().partition(".")
    if not (equals and dot and table and key):
        raise ValueError(f"--set {values.shortened(setting)}: write table.key=value, such as trials.count=3")
    return table, key, _value(value)


def _value(text: str) -> object:
    """Return the value that a --set gives: TOML's, or else the text itself."""
    try:
        parsed = _parse(f"v = {text}")
    except ValueError:
        return text.strip()
    return parsed["v"] if len(parsed) == 1 else text.strip()


def _unknown_tables(written: Mapping[str, Any], places: Places) -> Iterator[str]:
    def word(table: str) -> str:
        shown = values.shortened(table)
        return f"table [{shown}]" if isinstance(written[table], dict) else f"key {shown}"

    unknown = [t for t in written if t not in TABLES]
    for t in unknown[:FEW]:
        yield f"{places.at(None, t)}unknown {word(t)}; {did_you_mean(t, [*TABLES, 'name'])}"
    if len(unknown) > FEW:
        yield f"and {len(unknown) - FEW} more unknown tables and keys outside of tables"


def _unknown_keys(table: str, unknown: Sequence[str], places: Places) -> Iterator[str]:
    known = [f.name for f in fields(TABLES[table])]
    for key in unknown[:FEW]:
        yield f"{places.at(table, key)}unknown key {table}.{values.shortened(key)}; {did_you_mean(key, known)}"
    if len(unknown) > FEW:
        yield f"and {len(unknown) - FEW} more unknown keys in [{table}]"


def _read_table(table: str, given: object, places: Places, problems: list[str]) -> Any:
    """Return the table's dataclass; whatever can't be read is named in ``problems`` and left at its default."""
    kind = TABLES[table]
    if given is None:
        return kind()
    if not isinstance(given, dict):
        problems.append(f"{places.at(None, table)}{table} must be a table: write [{table}]")
        return kind()
    known = {f.name: f for f in fields(kind)}
    problems += _unknown_keys(table, [key for key in given if key not in known], places)
    read: dict[str, Any] = {}
    for key in filter(known.__contains__, given):
        try:
            read[key] = known[key].metadata["read"](given[key])
        except ValueError as error:
            problems.append(f"{places.at(table, key)}{table}.{key}: {error}")
    return kind(**read)


def _missing(written: Mapping[str, Any]) -> list[str]:
    def present(table: str, key: str) -> bool:
        return isinstance(written.get(table), dict) and key in written[table]

    helps = {(t, k): h for t, k, _, h in reference()}
    return [f"{t}.{k} is missing: {helps[t, k]}" for t, k in REQUIRED if not present(t, k)]


def _contradictions(tables: Mapping[str, Any]) -> list[str]:
    """Find what is wrong between keys that are each right."""
    environment: EnvironmentTable = tables["environment"]
    trials: TrialsTable = tables["trials"]
    found = []
    if trials.validation >= trials.observe_at_most:
        found.append(
            f"trials.validation ({values.show_duration(trials.validation)}) must be shorter than "
            f"trials.observe_at_most ({values.show_duration(trials.observe_at_most)}): recovery could never be seen"
        )
    found += _bad_times(tables["probes"]) + _unmeasured(tables["probes"]) + _unclear_owner(tables["cloud"])
    if environment.access == "static-nat" and environment.vms != environment.public_ips:
        found.append("environment.access static-nat gives each VM an address of its own: make vms and public_ips equal")
    return found


def _unclear_owner(cloud: CloudTable) -> list[str]:
    """Find what leaves open in whose name is to be built."""
    if cloud.project and cloud.account:
        return [
            "cloud.project and cloud.account don't go together: what is in a project is no account's; leave one out"
        ]
    if cloud.domain and not (cloud.project or cloud.account):
        return ["cloud.domain says where a project or an account is: name it as cloud.project or cloud.account too"]
    return []


def _bad_times(probes: ProbesTable) -> list[str]:
    """Find intervals and a threshold that don't go together, or that the guests would have to pay for."""
    found = []
    for key, asked_s in {kind.interval.key: probes.asked_s(kind) for kind in HEADLINE}.items():
        if asked_s >= probes.threshold:
            found.append(
                f"probes.{key} ({values.show_duration(asked_s)}) must be shorter than probes.threshold "
                f"({values.show_duration(probes.threshold)}): make the interval smaller"
            )
    if probes.threshold >= 1:
        found.append(
            f"probes.threshold ({values.show_duration(probes.threshold)}) must be under 1s: the kernel retransmits a "
            "SYN after 1s, and a later answer would count an outage as up"
        )
    if probes.interval < FINEST_S:
        found.append(
            f"probes.interval ({values.show_duration(probes.interval)}) is below the finest grain, "
            f"{values.show_duration(FINEST_S)}"
        )
    for kind in KINDS:
        least_s, reason = kind.interval.least_s, kind.interval.reason
        if probes.asked_s(kind) < least_s:
            found.append(f"probes.{kind.interval.key} must be at least {values.show_duration(least_s)}: {reason}")
    return found


def _unmeasured(probes: ProbesTable) -> list[str]:
    """Find directions for which every kind of probe is switched off: they would have no figure."""
    found = []
    for direction in (Direction.EGRESS, Direction.INGRESS):
        kinds = [kind for kind in HEADLINE if kind.direction is direction]
        if not any(map(probes.probes, kinds)):
            switches = " or ".join(f"probes.{kind.switch}" for kind in kinds)
            found.append(f"{switches} must be true: without any of them, {direction} has no figure")
    return found
