"""Profiles filled in: what was written is read back, and the rest of the text stays."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrbench.cli.profiles import shipped
from vrbench.core.plan.fill import Filled, fill

MODEL = """# Head.
name = "model"

[cloud]
zone = ""          # the only one
# template = "x"   # off

# [limits]
# egress = "30s"
"""


def test_order_and_comments_stay() -> None:
    filled = fill(MODEL, "mine", {"cloud.zone": Filled("z1", "of 2"), "cloud.template": Filled("t")})
    assert filled.splitlines() == [
        "# Head.",
        'name = "mine"',
        "",
        "[cloud]",
        'zone = "z1"                 # of 2',
        'template = "t"              # off',
        "",
        "# [limits]",
        '# egress = "30s"',
    ]


def test_what_is_lacking_is_added_to_its_table() -> None:
    filled = fill(MODEL, "mine", {"cloud.new": Filled(True), "trials.count": Filled(3, "few")})
    assert tomllib.loads(filled) == {"name": "mine", "cloud": {"zone": "", "new": True}, "trials": {"count": 3}}


@given(
    st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(["cloud.zone", "cloud.added", "limits.egress"])
)
def test_every_value_is_read_back(value: str, key: str) -> None:
    """Whatever a cloud calls its things."""
    table, _, name = key.partition(".")
    written = tomllib.loads(fill(shipped()["isolated"], "mine", {key: Filled(value, "said")}))
    assert written[table][name] == value


@pytest.mark.parametrize("comment", ["a\nzone = 'evil'", "\x1b[31m", "\x00"])
def test_a_comment_is_one_line_of_plain_text(comment: str) -> None:
    """It may hold what a cloud said."""
    written = tomllib.loads(fill(MODEL, "mine", {"cloud.zone": Filled("z", comment)}))
    assert written["cloud"] == {"zone": "z"}
