"""Every link leads somewhere, and no document reaches outside the repository for a picture."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, Document, anchor, document, documents

DOCUMENTS = documents()


@pytest.mark.parametrize("found", DOCUMENTS, ids=lambda d: str(d.path.relative_to(ROOT)))
def test_every_link_leads_somewhere(found: Document) -> None:
    """A relative link names a file or folder of the repository, and its anchor a heading there."""
    broken = [link for link in found.links if "://" not in link and not leads_somewhere(found, link)]
    assert broken == []


def leads_somewhere(found: Document, link: str) -> bool:
    """Say whether a relative link of a document names something that exists."""
    name, _, fragment = link.partition("#")
    target = (found.path.parent / name).resolve() if name else found.path
    if not target.is_relative_to(ROOT.resolve()) or not target.exists():
        return False
    return not fragment or fragment in Document(target).anchors


def test_links_of_the_readme_lead_somewhere_in_the_source_package_too(tmp_path: Path) -> None:
    """Who unpacks the source package finds the pictures and documents that its README names."""
    build = [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (package,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(package) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    linked = {link.partition("#")[0] for link in document("README.md").links if "://" not in link}
    assert linked - names == set()


@pytest.mark.parametrize("found", DOCUMENTS, ids=lambda d: str(d.path.relative_to(ROOT)))
def test_no_heading_stands_twice(found: Document) -> None:
    """An anchor is one place."""
    assert len(found.anchors) == len(found.headings)


def test_a_folder_of_documents_is_reached_from_the_first_page() -> None:
    """Whoever starts at the README finds every other document by following links."""
    reached, coming = set(), [ROOT / "README.md"]
    while coming:
        path = coming.pop()
        if path not in reached and path.suffix == ".md":
            reached.add(path)
            names = (link.partition("#")[0] for link in Document(path).links if "://" not in link)
            coming += [(path.parent / name).resolve() for name in names if name]
    assert {d.path.resolve() for d in DOCUMENTS if ".github" not in d.path.parts} <= {p.resolve() for p in reached}


def test_every_file_that_is_named_exists() -> None:
    """A path in code that ends in a known way is a file: from the root, the package, or the document's own folder."""
    named = [
        (found.path.parent, name)
        for found in DOCUMENTS
        for name in re.findall(r"`([\w./-]+/[\w.-]+\.(?:py|md|toml|csv|svg))`", found.text)
    ]
    assert named
    places = ("", "vrbench")
    assert [n for here, n in named if not any((at / n).is_file() for at in (here, *(ROOT / p for p in places)))] == []


def test_every_name_that_the_architecture_mentions_exists() -> None:
    """A constant, class or function that is named there is a word of the code."""
    text = document("vrbench/README.md").text
    named = set(re.findall(r"`([A-Z][A-Z_]{2,}|[A-Z][a-z]+[A-Z]\w+|[a-z]+_[a-z_]+)`", text))
    code = set(re.findall(r"\w+", "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "vrbench").rglob("*.py"))))
    assert {"COLUMNS", "OutageWindow", "execute_run"} <= named
    assert named - code == set()


def test_the_floor_plan_shows_every_room() -> None:
    """The drawing names each folder of the package."""
    drawing = document("vrbench/README.md").blocks[0].text
    rooms = {path.parent.name for path in (ROOT / "vrbench").glob("*/__init__.py")}
    assert {name for name in rooms if not re.search(rf"\b{name}\b", drawing)} == set()


def test_anchors_are_made_as_on_github() -> None:
    """Lower case, dashes for spaces, and no punctuation."""
    assert anchor("How to add …") == "how-to-add-"
    assert anchor("`vrbench lab up`") == "vrbench-lab-up"
