"""The setting ``FURROW_OPEN_SESSIONS``: off, or at least three sessions."""

import pytest
from pydantic import ValidationError

from core.settings import Settings


@pytest.mark.parametrize("number", [0, 3, 50])
def test_off_or_at_least_three(number: int) -> None:
    assert Settings(open_sessions=number).open_sessions == number
    assert Settings().open_sessions == 3


@pytest.mark.parametrize("number", [-1, 1, 2])
def test_fewer_draft_nothing(number: int) -> None:
    with pytest.raises(ValidationError, match="open_sessions"):
        Settings(open_sessions=number)
