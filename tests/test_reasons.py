"""Reason codes: every one that is used is explained, and every one that is explained is used."""

import re
from pathlib import Path

import pytest

import tpregistry
from tpregistry.reasons import MEANINGS, UnknownCode, meaning

ROOT = Path(tpregistry.__file__).parents[1]


def used() -> set[str]:
    sources = (path for folder in ("tpregistry", "plugins", "adapters") for path in (ROOT / folder).rglob("*.py"))
    texts = (path.read_text(encoding="utf-8") for path in sources if path.name != "reasons.py")
    return {code for text in texts for code in re.findall(r"\bTP\d{3}\b", text)}


def test_what_is_used_is_explained_and_the_other_way_round() -> None:
    assert used() == set(MEANINGS)


def test_every_explanation_says_what_to_do() -> None:
    for one in MEANINGS.values():
        assert one.title[0].islower()
        assert one.cause.endswith(".")
        assert one.cure.endswith(".")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("TP127", "Did you mean TP126?"),
        ("TP11", "Did you mean TP110?"),
        ("hello", "there is no code 'HELLO'"),
        ("CUEQ12", "not a code of tpregistry but of a plugin"),
    ],
)
def test_unknown_codes(code: str, message: str) -> None:
    with pytest.raises(UnknownCode, match=re.escape(message)):
        meaning(code)


def test_lower_case_will_do() -> None:
    assert meaning("tp190").title == "failed the gate"
