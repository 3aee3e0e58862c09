"""Looks that fail are repeated while that may help, and no longer."""

from __future__ import annotations

import pytest

from vrbench.cloud.api.patience import look_again, may_pass
from vrbench.cloud.errors import CloudError, CloudUnreachable, JobFailed, NotCloudStack, refusal

AT = "http://cloud/client/api"
RESET = CloudUnreachable("listNetworks", AT, "the connection was reset", may_have_run=False)


def failing(times: int, error: CloudError) -> list[CloudError | str]:
    return [*[error] * times, "rows"]


def read_from(answers: list[CloudError | str]) -> str:
    answer = answers.pop(0)
    if isinstance(answer, CloudError):
        raise answer
    return answer


def test_what_may_pass_is_waited_for() -> None:
    """And whoever waits is told of each failure."""
    answers = failing(3, RESET)
    told: list[CloudError] = []
    assert look_again(lambda: read_from(answers), for_s=60, pause_s=0, before_again=told.append) == "rows"
    assert told == [RESET] * 3


def test_a_look_that_took_all_the_time_is_repeated_once() -> None:
    """It may have hung for a minute; once more is no retry storm. Then the last failure is raised."""
    once, twice = failing(1, RESET), failing(2, RESET)
    assert look_again(lambda: read_from(once), for_s=0, pause_s=0) == "rows"
    with pytest.raises(CloudUnreachable, match="the connection was reset"):
        look_again(lambda: read_from(twice), for_s=0, pause_s=0)
    assert twice == ["rows"]


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (refusal("c", AT, 503, "shutting down"), True),
        (refusal("c", AT, 530, "internal error"), True),
        (refusal("c", AT, 429, "too many requests"), True),
        (NotCloudStack("c", AT, "a page", may_have_run=False), True),
        (refusal("c", AT, 431, "entity does not exist"), False),
        (refusal("c", AT, 401, "unable to verify user credentials"), False),
        (refusal("c", AT, 531, "no permission"), False),
        (JobFailed("c", "j", 530, "failed"), False),
    ],
    ids=str,
)
def test_what_a_server_means_to_say_is_taken_at_its_word(error: CloudError, passes: bool) -> None:
    assert may_pass(error) is passes
