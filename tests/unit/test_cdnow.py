"""The file of real customers is the one that its description describes."""

from pathlib import Path

import pytest

from tests.support import cdnow


def test_the_file_is_as_described() -> None:
    header, *purchases = (line.split() for line in cdnow.cdnow_file().read_text(encoding="utf-8").splitlines())
    assert header[cdnow.USER_NUMBER - 1] == cdnow.USER
    assert header[cdnow.AMOUNT_NUMBER - 1] == cdnow.AMOUNT
    assert len(purchases) == cdnow.N_PURCHASES
    assert len({purchase[0] for purchase in purchases}) == cdnow.N_CUSTOMERS


def test_without_the_file_it_says_how_to_fetch_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cdnow, "ROOT", tmp_path)
    with pytest.raises(FileNotFoundError, match=f"^{cdnow.FILE} does not exist; to fetch it: make cdnow$"):
        cdnow.cdnow_file()


def test_make_knows_it_by_the_same_name() -> None:
    assert f"CDNOW := {cdnow.FILE}\n" in (cdnow.ROOT / "Makefile").read_text(encoding="utf-8")
