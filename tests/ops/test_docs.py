"""Documents may not point at what is not there, nor tell a machine's paths."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_between_documents_leads_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_of_ours_that_a_document_names_exists(document: Path) -> None:
    rooms = "|".join(sorted(init.parent.name for init in ROOT.glob("*/__init__.py")))
    named = re.findall(rf"`((?:{rooms}|ops|docs)/[\w./-]+)", document.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_decision_that_the_code_cites_is_written_down() -> None:
    written = {page.name[:3] for page in (ROOT / "docs/adr").glob("*.md")}
    sources = [path for init in ROOT.glob("*/__init__.py") for path in init.parent.rglob("*.py")]
    cited = {
        number
        for path in sources
        for number in re.findall(r"docs/adr/(\d{3})", path.read_text(encoding="utf-8"))
    }
    assert cited - written == set()


@pytest.mark.parametrize("picture", sorted((ROOT / "docs").rglob("*.svg")), ids=lambda path: path.name)
def test_pictures_are_well_formed_and_described(picture: Path) -> None:
    root = ElementTree.parse(picture).getroot()  # noqa: S314 - a file of this repository
    assert root.find("{http://www.w3.org/2000/svg}title") is not None
    assert root.find("{http://www.w3.org/2000/svg}desc") is not None
