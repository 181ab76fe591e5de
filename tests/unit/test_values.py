"""Values that cannot be meant, and those that only look so."""

from pathlib import Path

import pytest

from classifier.commands.print_config import without_secrets
from classifier.config.ini_file import value_problem
from classifier.reports.output_file import check_path


def test_a_key_pasted_where_its_file_belongs_is_not_looked_up() -> None:
    """A name too long for a file raises in Python, with the name in the error."""
    assert value_problem("consumer", "ssl.key.location", "M" * 5000) == ""


def test_a_secret_may_hold_what_looks_like_a_comment() -> None:
    assert value_problem("consumer", "sasl.password", "p # ;") == ""


def test_where_a_secret_lies_is_none() -> None:
    assert without_secrets("ssl.key.location", "/etc/client.key") == "/etc/client.key"
    assert without_secrets("SSL.Key.Pem", "MIIEv") == "****"


def test_a_picture_in_a_folder_whose_name_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no folder"):
        check_path(tmp_path / ("x" * 300) / "a.png")
