"""Messages for wrong values on the command line."""

import pytest

from tests.support import inside


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: CONFIG_FILE"),
        (
            ["x", "-t", "no topic"],
            "argument -t: a topic name has letters, digits, '.', '_' and '-', got 'no topic'",
        ),
        (["x", "-o", ""], "argument -o: a topic name has letters, digits, '.', '_' and '-', got ''"),
        (["x", "-g", ""], "argument -g: a group name needs printable characters, got ''"),
        (["x", "-g", "\udcff"], "argument -g: a group name needs printable characters, got '\\udcff'"),
        (["x", "-k", "three"], "argument -k: n_clusters (or 'auto') must be a whole number >= 1, got 'three'"),
        (["x", "-k", "0"], "argument -k: n_clusters (or 'auto') must be a whole number >= 1, got '0'"),
        (["x", "-k", "-1"], "argument -k: n_clusters (or 'auto') must be a whole number >= 1, got '-1'"),
        (["x", "-k", "2.0"], "argument -k: n_clusters (or 'auto') must be a whole number >= 1, got '2.0'"),
        (["x", "-k", "²"], "argument -k: n_clusters (or 'auto') must be a whole number >= 1, got '²'"),
        (["x", "--batch-size", "0"], "argument --batch-size: batch size must be a whole number >= 1, got '0'"),
        (["x", "--batch-interval", "x"], "argument --batch-interval: must be a number of seconds >= 0, got 'x'"),
        (["x", "--batch-interval", "-1"], "argument --batch-interval: must be a number of seconds >= 0, got '-1'"),
        (["x", "--batch-interval", "nan"], "argument --batch-interval: must be a number of seconds >= 0, got 'nan'"),
        (["x", "--batch-interval", "inf"], "argument --batch-interval: must be a number of seconds >= 0, got 'inf'"),
        (["x", "--n-init", "0"], "argument --n-init: n_init (or 'auto') must be a whole number >= 1, got '0'"),
        *(
            (
                ["x", f"--metrics-host={host}"],
                f"argument --metrics-host: must be an address or a host name, such as 0.0.0.0, got {host!r}",
            )
            for host in ("", "a b", "a..b", "http://a", "a" * 64, "²")
        ),
        (["x", "y"], "unrecognized arguments: y"),
    ],
)
def test_wrong_value_on_the_command_line(arguments: list[str], message: str) -> None:
    finished = inside.run(arguments)
    assert finished.code == 2
    assert finished.stdout == ""
    assert finished.stderr.splitlines()[-1] == f"user_classifier.py: error: {message}"
