"""README and the pages behind it: short, no dead link, every file that is named is there, what is sought is three links away."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs" / "pages").glob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\((?!https?:)([^)#]+)(#[^)]*)?\)")
NAMED = re.compile(r"`((?:tpregistry|plugins|adapters|tests|benchmarks|docs)/[\w./-]+)`")
GENERATED = "plots/"
"""Pictures that the build of the documentation puts there."""

SOUGHT = {
    "where a call is dispatched": "tpregistry/torch/binding.py",
    "where a record is written": "tpregistry/store/directory.py",
    "where a new host goes": "adapters/tpregistry_e3nn/adapter.py",
    "where an operation is defined": "tpregistry/definition",
    "where a gradient of a plan is made": "tpregistry/plan/plan.py",
    "what a reason code means": "tpregistry/reasons.py",
}


def links(text: Path) -> list[tuple[Path, str]]:
    """Files that a text links to, and the anchors in them."""
    found = LINK.findall(text.read_text())
    return [((text.parent / name).resolve(), anchor[1:]) for name, anchor in found if not name.startswith(GENERATED)]


def anchors(page: Path) -> set[str]:
    """As mkdocs and GitHub write them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 250


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.name)
def test_every_link_leads_somewhere(text: Path) -> None:
    for target, anchor in links(text):
        assert target.exists(), f"{text.name} links to {target.name}, which is not there"
        assert not anchor or anchor in anchors(target), f"{text.name} links to {target.name}#{anchor}"


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.name)
def test_every_file_that_is_named_is_there(text: Path) -> None:
    assert [name for name in NAMED.findall(text.read_text()) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("question", SOUGHT)
def test_what_is_sought_is_three_links_away(question: str) -> None:
    near = {ROOT / "README.md"}
    for _ in range(3):
        near |= {target for text in near if text.suffix == ".md" for target, _ in links(text) if target.is_file()}
    rows = [line for text in near if text.suffix == ".md" for line in text.read_text().splitlines() if question in line]
    assert any(SOUGHT[question] in row for row in rows)
