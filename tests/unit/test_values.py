"""Checks of configuration values, and of paths."""

from pathlib import Path

import pytest

from classifier.commands.print_config import without_secrets
from classifier.config.ini_file import value_problem
from classifier.reports.output_file import check_path


def test_a_key_instead_of_its_path_is_accepted() -> None:
    """Python raises an error with the path in it if that is too long for a file name."""
    assert value_problem("consumer", "ssl.key.location", "M" * 5000) == ""


def test_a_secret_may_contain_a_comment_character() -> None:
    assert value_problem("consumer", "sasl.password", "p # ;") == ""


def test_paths_are_not_secret() -> None:
    assert without_secrets("ssl.key.location", "/etc/client.key") == "/etc/client.key"
    assert without_secrets("SSL.Key.Pem", "MIIEv") == "****"


def test_a_directory_with_too_long_a_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no folder"):
        check_path(tmp_path / ("x" * 300) / "a.png")
