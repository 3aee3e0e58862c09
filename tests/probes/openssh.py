"""A server of OpenSSH 9.8 or later, which has PerSourcePenalties: this machine's own, or Debian's backport beside it.

The package is fetched by apt from the mirror that this machine is configured for, and only unpacked: nothing is
installed, and nothing of apt's own state is touched.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.probes.box import Box

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SERVER, PARTS = "usr/sbin/sshd", "usr/lib/openssh"


def version(server: Path) -> tuple[int, ...]:
    """Return an sshd's version: (9, 2)."""
    said = subprocess.run([server, "-V"], capture_output=True, text=True, check=False).stderr
    found = re.search(r"OpenSSH_(\d+)\.(\d+)", said)
    assert found, f"{server} does not tell its version but: {said}"
    return int(found[1]), int(found[2])


def with_penalties(cache: Path) -> Path:
    """Return the root under which such a server lies; ``cache`` keeps what was fetched. Fail with apt's own words."""
    if version(Path("/") / SERVER) >= (9, 8):
        return Path("/")
    root = cache / "root"
    if not (root / SERVER).exists():
        _fetch(cache)
        (package,) = cache.glob("*.deb")
        _run("dpkg-deb", "-x", str(package), str(root))
    assert version(root / SERVER) >= (9, 8)
    return root


def put_in(box: Box, root: Path) -> None:
    """Within the box, and nowhere else, the server of that root is the machine's."""
    if root != Path("/"):
        box.sh(None, "".join(f"mount --bind {root / part} /{part}\n" for part in (SERVER, PARTS)))


def _fetch(cache: Path) -> None:
    """Download the package with an apt of its own that knows of nothing but the backports."""
    for part in ("lists/partial", "archives/partial"):
        (cache / part).mkdir(parents=True, exist_ok=True)
    uri, release = _debian()
    signed = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
    (cache / "sources.list").write_text(f"deb {signed}{uri} {release}-backports main\n")
    options = [f"Dir::Etc::sourcelist={cache}/sources.list", "Dir::Etc::sourceparts=-", "Acquire::Languages=none"]
    options += [f"Dir::State::lists={cache}/lists", f"Dir::Cache={cache}", "APT::Sandbox::User=root"]
    apt = ["apt-get", "-q", *(word for option in options for word in ("-o", option))]
    _run(*apt, "update")
    _run(*apt, "-t", f"{release}-backports", "download", "openssh-server", cwd=cache)


def _debian() -> tuple[str, str]:
    """Return the address and the name of the Debian release that this machine's apt has its packages from."""
    targets = _run("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages")
    (release,) = re.findall(r"^VERSION_CODENAME=(\w+)$", Path("/etc/os-release").read_text(), re.MULTILINE)
    uris = {uri for uri, _, name in (line.partition(" ") for line in targets.splitlines()) if name == release}
    assert len(uris) >= 1, f"apt has no source for {release}: an OpenSSH of 9.8 or later can't be fetched"
    return min(uris), release


def _run(*argv: str, cwd: Path | None = None) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, cwd=cwd, timeout=120, check=False)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stdout}{done.stderr}"
    return done.stdout
