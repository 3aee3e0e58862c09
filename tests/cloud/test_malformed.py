"""Malformed answers at calls all over a run: each ends in words or is looked past, and leaves nothing."""

from tests.cloud.answer_case import Grounds, grounds_in, make_case

SEED, CASES = 14, range(0, 60, 9)


def test_a_malformed_answer_ends_in_words_and_leaves_nothing() -> None:
    """A few of the 300 that ``python -m tests.bench.bad_answers`` makes: broken, foreign, and wrong in one thing."""

    def judge(grounds: Grounds) -> None:
        calls = grounds.calls()
        assert calls > CASES[-1]
        for number in CASES:
            case = make_case(SEED, number, calls)
            verdict = grounds.judge(case)
            assert verdict.wrong == (), f"{case}: {verdict}"

    grounds_in(judge)
