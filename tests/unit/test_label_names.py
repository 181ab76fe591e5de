"""Label names, and invalid ones."""

import pytest

from classifier.label_names import label_name, parse_label_names


def test_label_names() -> None:
    assert parse_label_names("stingy, standard ,spendthrift", 3) == ("stingy", "standard", "spendthrift")
    assert [label_name(label, ("stingy",)) for label in (0, 1)] == ["0 stingy", "1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b", "3 clusters need 3 names, separated by commas, got 2: 'a,b'"),
        ("a,b,c,d", "3 clusters need 3 names, separated by commas, got 4: 'a,b,c,d'"),
        ("a,,c", "the name of label 1 is empty, got 'a,,c'"),
        ("a,b,a", "labels 0 and 2 are both named 'a'; each needs its own name"),
        ("a,b\n!,c", "the name of label 1 has characters that cannot be printed, got 'a,b\\n!,c'"),
    ],
)
def test_invalid_label_names(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        parse_label_names(text, 3)
    assert str(raised.value) == message
