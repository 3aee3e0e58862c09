"""Which of the places that hold settings wins: the environment, the files, CloudMonkey's profile, as cs 5.2 has it.

1. An endpoint in the environment wins. With a key and a secret beside it, no file is read. What is missing comes from
   the files, unless they name another endpoint: a key belongs to the endpoint that it stands beside.
2. Without one the files win over the environment, key by key; a later file wins over an earlier one.
3. ``$CLOUDSTACK_OVERRIDES`` has the files read in any case, and names what the environment keeps.
4. CloudMonkey's profile is read where neither the environment nor a file gives an endpoint, a key or a secret.
"""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from vrbench.cloud.credentials.cloudmonkey import is_cloudmonkey, read_profile
from vrbench.cloud.credentials.endpoints import harmless, same_endpoint
from vrbench.cloud.credentials.ini import DEFAULT, IniFile, IniLine, read_ini
from vrbench.cloud.credentials.settings import NEEDED, OF_OTHER_TOOLS, OTHER_NAMES, SETTINGS, Shape, setting_of
from vrbench.cloud.credentials.written import Written, tidied
from vrbench.cloud.errors import ConfigurationError
from vrbench.core.suggest import nearest
from vrbench.core.text import few, listed
from vrbench.core.values import quoted

USUAL: Final = "cloudstack"  # the section, where none is asked for
Found = dict[str, Written]


@dataclass(frozen=True, slots=True)
class SettingPlaces:
    """Where to look: the environment, files in reading order, the last of them perhaps named; then CloudMonkey's."""

    environ: Mapping[str, str]
    files: Sequence[Path]
    monkeys: Sequence[Path] = ()

    def word(self, variable: str) -> str:
        """Return what a variable that says where to look holds, without what surely was not meant."""
        written = Written(self.environ.get(variable, ""), f"${variable}")
        return tidied(variable, written, Shape.TEXT).value

    @property
    def region(self) -> str:
        return self.word("CLOUDSTACK_REGION")

    @property
    def overrides(self) -> frozenset[str]:
        return frozenset(w.lower() for w in re.split(r"\W+", self.word("CLOUDSTACK_OVERRIDES")) if w)

    @property
    def named(self) -> Path | None:
        return self.files[-1] if self.files and self.word("CLOUDSTACK_CONFIG") else None


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was found under each name, and what was said elsewhere and lost."""

    found: Found
    lost: tuple[Written, ...] = ()
    elsewhere: str = ""  # to which other endpoint the key belongs, where the files' own order decided
    unread: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()  # what stands in the files, and is nothing that is read


def gather(places: SettingPlaces) -> Gathered:
    """Look everywhere, and let each setting's winner win. Raises ConfigurationError."""
    ours, overrides = _from_environment(places.environ), places.overrides
    if not overrides and all(name in ours for name in NEEDED):
        unread = ("CLOUDSTACK_CONFIG", "CLOUDSTACK_REGION")
        return Gathered(ours, unread=tuple(f"${name}" for name in unread if places.environ.get(name)))
    files = from_files(places)
    theirs = files.found
    if not theirs and not any(name in ours for name in NEEDED):
        theirs = _from_cloudmonkey(places)
    if "endpoint" in ours and not overrides:
        _check_belongs(ours, theirs)
        return replace(files, found=theirs | ours)
    kept = {name: written for name, written in ours.items() if name in overrides}
    lost = [
        ours[name] for name in ours if name in theirs and name not in kept and ours[name].value != theirs[name].value
    ]
    elsewhere = "" if "endpoint" in kept else files.elsewhere
    return replace(files, found=ours | theirs | kept, lost=tuple(lost), elsewhere=elsewhere)


def _from_environment(environ: Mapping[str, str]) -> Found:
    found = {}
    for setting in SETTINGS:
        if setting.variable and environ.get(setting.variable):
            written = Written(environ[setting.variable], f"${setting.variable}")
            found[setting.name] = tidied(setting.name, written, setting.shape)
    return {name: written for name, written in found.items() if written.value}


def _check_belongs(ours: Found, theirs: Found) -> None:
    """Refuse to send a file's key to an endpoint that this file does not name."""
    borrowed = [name for name in ("key", "secret") if name not in ours and name in theirs]
    if not borrowed or "endpoint" not in theirs or same_endpoint(ours["endpoint"].value, theirs["endpoint"].value):
        return
    one, other = ours["endpoint"], theirs["endpoint"]
    raise ConfigurationError(
        f"two endpoints: {harmless(one.value)} from {one.source}, and {harmless(other.value)} from {other.source}, "
        f"which the {listed(borrowed)} {'comes' if len(borrowed) == 1 else 'come'} from",
        "unset one endpoint, or set key and secret in the environment too; CLOUDSTACK_OVERRIDES=endpoint asks the "
        "first with the file's key",
    )


def from_files(places: SettingPlaces) -> Gathered:
    """Return what the files' section holds, the last file's word last. Raises ConfigurationError."""
    files = [file for file in map(read_ini, places.files) if file]
    named = places.named
    if named and not any(file.path == named for file in files):
        raise ConfigurationError(
            f"CLOUDSTACK_CONFIG names {named}, and there is no such file", "name one that is there"
        )
    monkeys = [file for file in files if is_cloudmonkey(file)]
    files = [_with_header(file, places.region) for file in files if file not in monkeys]
    section = places.region or USUAL
    held = [file for file in files if section in file.sections]
    lacking = [file for file in files if file.path == named and file not in held]
    if (places.region and files and not held and not monkeys) or lacking:
        raise _no_section(section, bool(places.region), files)
    found = merged(held and files, section)
    for file in monkeys:
        found |= read_profile(file, places.region)
    return Gathered(found, elsewhere=_elsewhere(held, section, found), hints=tuple(_hints(files, section)))


def _hints(files: Sequence[IniFile], section: str) -> Iterator[str]:
    """Yield what was probably meant by names that nobody reads, and which other sections there are."""
    for file in files:
        sources = {line.name: line.written.source for line in file.named(section) if not setting_of(line.name)}
        for name, source in sources.items():
            if meant := OTHER_NAMES.get(name) or next(iter(nearest(name, NEEDED)), ""):
                yield f"{name} in {source} is {meant} here"
        if section not in file.sections and file.sections:
            yield f"{file.path} has no [{section}], but {_sections(file)}: set CLOUDSTACK_REGION"


def _sections(file: IniFile) -> str:
    return few([quoted(section) for section in file.sections])


def _elsewhere(files: Sequence[IniFile], section: str, found: Found) -> str:
    """Say that a key is sent to another endpoint than the one it stands beside: a later file names that one."""
    if "key" not in found or "endpoint" not in found:
        return ""
    for file in files:
        own = _of_one(file, section)
        if "endpoint" in own and "key" in own and own["key"].source == found["key"].source:
            beside = tidied("endpoint", own["endpoint"], Shape.TEXT)
            if beside.value and not same_endpoint(beside.value, found["endpoint"].value):
                return f"the key from {own['key'].source} stands beside {harmless(beside.value)}, which is not asked"
    return ""


def _with_header(file: IniFile, region: str) -> IniFile:
    """Return a file in which every line has its section: one that has none at all is all of the usual one."""
    first = next(file.named(""), None)
    if first is None:
        return file
    known = any(setting_of(line.name) for line in file.named(""))
    if not known or file.sections or region:
        at = f"line {first.written.line}, column 1"
        raise file.refusal(at, "a line stands above the first [section]", f"put [{region or USUAL}] above it")
    lines = tuple(_in_usual(line) for line in file.lines)
    return replace(file, lines=lines, sections=(USUAL,))


def _in_usual(line: IniLine) -> IniLine:
    return replace(line, section=USUAL, written=replace(line.written, source=f"{line.written.source} (no section)"))


def _no_section(section: str, asked: bool, files: Sequence[IniFile]) -> ConfigurationError:
    """Name the region asked for, and the sections that there are, with the nearest."""
    there = [f"{_sections(file)} in {file.path}" for file in files if file.sections]
    names = [name for file in files for name in file.sections]
    near = [*nearest(section, names), *(n for n in names if n.lower() == section.lower())][:1]
    who = f"CLOUDSTACK_REGION asks for the section {quoted(section)}" if asked else f"no section {quoted(section)}"
    cure = (
        f"did you mean {near[0]}? Set CLOUDSTACK_REGION={near[0]}" if near else "set CLOUDSTACK_REGION to one of them"
    )
    found = f"{who}; the sections are: {', '.join(there) or 'none'}"
    return ConfigurationError(found, cure if names else f"put endpoint, key and secret below [{section}]")


def merged(files: Sequence[IniFile], section: str) -> Found:
    """Return the section's settings over all files: the last word wins, and DEFAULT's where the section has none."""
    raw: Found = {}
    for part in (DEFAULT, section):
        for file in files:
            raw |= _of_one(file, part)
    found = {}
    for name, written in raw.items():
        setting = setting_of(name)
        if setting and written.value:
            filled = replace(written, value=_filled(name, written, raw))
            found[name] = tidied(name, filled, setting.shape)
    return {name: written for name, written in found.items() if written.value}


def _of_one(file: IniFile, section: str) -> Found:
    """Return one section of one file; a setting that stands there twice must say the same twice."""
    found: Found = {}
    for line in file.named(section):
        before = found.get(line.name)
        if before and setting_of(line.name) and before.value != line.written.value:
            where = f"lines {before.line} and {line.written.line}"
            raise file.refusal(where, f"{line.name} stands twice in [{section}], with different values", "keep one")
        if line.by_shell and (odd := re.search(r"[$`]", line.written.value)):
            at, what = line.written.at(odd.start()), "a shell would fill something in here, which is no shell"
            raise file.refusal(at, what, "write the value itself, or read the file into the environment by a shell")
        found[line.name] = line.written
    return found


def _filled(name: str, written: Written, raw: Found) -> str:
    """Fill in what ``%(name)s`` stands for, as configparser does; a lone % stays what it is."""
    if "%" not in written.value:
        return written.value
    values = {other: held.value for other, held in raw.items()}
    reader = configparser.RawConfigParser()
    try:
        return configparser.BasicInterpolation().before_get(reader, "", name, written.value, values)
    except configparser.InterpolationSyntaxError:
        problem = "" if "%%" not in written.value else "% stands there both once and twice: write each % as %%"
    except configparser.InterpolationError:
        problem = "%( )s stands for a name that is not in this section"
    if problem:
        where = f"line {written.line}" if written.line else ""
        raise ConfigurationError(f"the {name} from {written.source}, {where}: {problem}", "write the value itself")
    return written.value


def _from_cloudmonkey(places: SettingPlaces) -> Found:
    """Return the current profile of the first of CloudMonkey's files that is there."""
    for path in places.monkeys:
        if file := read_ini(path):
            return read_profile(file, places.region)
    return {}


def looked_at(places: SettingPlaces) -> str:
    """Name the places, for who has put the settings into none of them."""
    return ", ".join(("the environment", *map(str, (*places.files, *places.monkeys))))


def of_other_tools(environ: Mapping[str, str], missing: Iterable[str]) -> str:
    """Say that another tool's variables are set where ours are missing."""
    theirs = [f"{name} is {ours} here" for name, ours in OF_OTHER_TOOLS.items() if environ.get(name)]
    return f"; {listed(theirs)}" if theirs and list(missing) else ""


def in_home(names: Iterable[str]) -> Iterator[str]:
    """Yield the names of files in the home directory; none where nobody knows of one."""
    return (name for name in names if not os.path.expanduser(name).startswith("~"))


def absolute(name: str) -> Path:
    """Return a path as it is meant, with the home directory in place of ``~``."""
    path = Path(os.path.expanduser(name))
    try:
        return path.absolute()
    except OSError:  # the current directory has been removed
        return path
