"""One JSON object a line, whatever is logged."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from classifier.reports.jsonlog import JsonFormatter


def formatted(message: object = "labels", *args: object, **extra: Any) -> str:
    """The line of a record with a fixed time."""
    logger = logging.getLogger("user_classifier")
    record = logger.makeRecord("user_classifier", logging.INFO, "x.py", 1, message, args, None, extra=extra)
    record.created = 1_795_515_072.0405
    return JsonFormatter().format(record)


def test_line_in_full() -> None:
    assert formatted("%d records, %s", 5, "ok", records=5, lag={0: 7}) == (
        '{"time": "2026-11-24T10:11:12.040Z", "level": "INFO", "message": "5 records, ok", "records": 5,'
        ' "lag": {"0": 7}}'
    )


def test_extra_fields_that_json_cannot_represent() -> None:
    found = json.loads(
        formatted(
            fit=np.float64("nan"),
            inf=[float("inf"), 1.5],
            n=np.int32(3),
            labels=np.array([1, 2]),
            bad=np.array([np.nan]),
            path=Path("a/b"),
            none=None,
        )
    )
    assert {name: found[name] for name in ("fit", "inf", "n", "labels", "bad", "path", "none")} == {
        "fit": "nan",
        "inf": ["inf", 1.5],
        "n": 3,
        "labels": [1, 2],
        "bad": ["nan"],
        "path": "a/b",
        "none": None,
    }


def test_standard_fields_cannot_be_overwritten() -> None:
    found = json.loads(formatted("truth", level="FATAL", time="never"))
    assert (found["message"], found["level"], found["time"]) == ("truth", "INFO", "2026-11-24T10:11:12.040Z")


def test_an_exception_is_a_separate_field() -> None:
    try:
        raise RuntimeError("boom\nbang")
    except RuntimeError:
        record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "failed", (), sys.exc_info())
    line = JsonFormatter().format(record)
    assert "\n" not in line
    found = json.loads(line)
    assert found["message"] == "failed"
    assert found["exception"].endswith("RuntimeError: boom\nbang")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=10,
)


@given(st.text(), values)
def test_any_record_is_one_strict_line(message: str, value: Any) -> None:
    line = formatted("%s", message, value=value)

    def refuse(constant: str) -> None:
        raise AssertionError(f"not JSON: {constant}")

    assert len(line.splitlines()) == 1
    found = json.loads(line, parse_constant=refuse)
    assert found["message"] == message
    assert "value" in found
