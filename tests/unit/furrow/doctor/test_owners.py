"""`furrow doctor` reads the file of owners, and names what is wrong with it."""

from pathlib import Path

from core.settings import Settings
from furrow.doctor.owners import check_owners_file


def test_the_file_of_owners_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "OWNERS"
    settings = Settings(owners_file=path)
    assert check_owners_file(Settings(owners_file=None)) is None
    away = check_owners_file(settings)
    assert away is not None
    assert (away.is_right, "cannot be read: No such file" in away.detail) == (False, True)
    path.write_text("* @web\n")
    assert check_owners_file(settings) == (True, f"1 rule in {path}")
    path.write_text("* @web\nnonsense\n/checkout @shop\n")
    wrong = check_owners_file(settings)
    assert wrong is not None
    assert not wrong.is_right
    assert "line 2: 'nonsense' is no pattern" in wrong.detail
    assert wrong.detail.endswith(" and 1 more; the other lines hold")
