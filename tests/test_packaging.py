"""What pip installs: the command, the profiles and the lab's data are inside the wheel."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_wheel_is_whole(tmp_path: Path) -> None:
    """Every module, profile and data file of the checkout is in the wheel, with its types, and tests are not."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(tmp_path), str(ROOT)], check=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    package = [
        p for p in (ROOT / "vrbench").rglob("*") if p.suffix in (".py", ".json", ".toml", ".typed") and p.is_file()
    ]
    assert {str(p.relative_to(ROOT)) for p in package} <= names
    assert {f"vrbench/profiles/{p.name}" for p in (ROOT / "profiles").glob("*.toml")} <= names
    assert "vrbench/py.typed" in names
    assert not [n for n in names if n.startswith("tests")]
    scripts = next(n for n in names if n.endswith("entry_points.txt"))
    assert b"vrbench = vrbench.cli.main:main" in zipfile.ZipFile(wheel).read(scripts)
