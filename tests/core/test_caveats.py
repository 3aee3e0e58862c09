"""The table of caveats: every row says all that a reader needs, and says it as one voice."""

import re

import pytest

from vrbench.core.caveats import Caveat, CaveatKind, Effect


@pytest.mark.parametrize("kind", CaveatKind)
def test_a_row_is_whole_and_short(kind: CaveatKind) -> None:
    """Happened, meaning and remedy are there, are parts of sentences, and have about twenty words at most."""
    for words in (kind.happened, kind.meaning, kind.remedy):
        assert words
        assert words[0].islower()
        assert words[-1] not in ".:;,"
        assert len(words.split()) <= 22, words


@pytest.mark.parametrize("kind", CaveatKind)
def test_a_key_is_an_export_value(kind: CaveatKind) -> None:
    """Keys stand in exports: lower-case words with hyphens, found again by themselves."""
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind)
    assert CaveatKind.of(str(kind)) is kind
    assert str(kind) == kind.value


def test_keys_never_change() -> None:
    """Stored runs and other people's spreadsheets hold these."""
    before = """agent-lost baseline-lossy baseline-short boot-doubtful clock-stepped clocks-unaligned control-down
        control-lossy down-at-request flapping flows-differ guest-rebooted interrupted job-failed job-unfinished lab
        log-cut no-control no-recovery-seen no-samples path-asymmetric prober-failed prober-stalled relapsed
        service-down slots-skipped sshd-limits turned-away two-routers unseen without-python""".split()
    assert set(before) <= {kind.value for kind in CaveatKind}


def test_the_worst_come_first() -> None:
    """What makes a trial invalid ranks before what makes it unknown, and that before all else."""
    assert CaveatKind.JOB_FAILED.rank < CaveatKind.UNSEEN.rank < CaveatKind.LAB.rank
    assert [kind.effect for kind in sorted(CaveatKind, key=lambda k: k.rank)] == [k.effect for k in CaveatKind]
    assert CaveatKind.LAB.effect is Effect.NONE


def test_a_caveat_reads_as_sentences() -> None:
    """What happened, with whom it concerns in brackets; then what it means and what to do."""
    assert str(Caveat(CaveatKind.BASELINE_SHORT, "3 s")) == (
        "the baseline was shorter than the 15 s that RFC 6201 asks for (3 s). "
        "Losses that are not the operation's are more easily overlooked. Set trials.baseline to 15s or more."
    )
