"""Flink's answers: pages of a result, causes of a failure."""

from collections.abc import Mapping
from typing import Any

import pytest

from local.sql.sql_gateway import Change, Result, SqlSession, innermost_cause

TRACE = """\
org.apache.flink.table.gateway.api.utils.SqlGatewayException: Failed to execute
	at org.apache.flink.Some.method(Some.java:1)
	... 7 more
Caused by: org.apache.flink.table.api.ValidationException: SQL validation failed. From line 1
	at org.apache.flink.Other.method(Other.java:2)
Caused by: org.apache.calcite.sql.validate.SqlValidatorException: Object 't' not found
	... 9 more
"""


@pytest.mark.parametrize(
    ("trace", "cause"),
    [
        (TRACE, "Object 't' not found"),
        ("java.lang.IllegalStateException", "java.lang.IllegalStateException"),
        ("Session 'x' does not exist: closed", "Session 'x' does not exist: closed"),
        ("", ""),
    ],
)
def test_innermost_cause(trace: str, cause: str) -> None:
    """One line, without the names of Java's classes."""
    assert innermost_cause(trace) == cause


class Pages(SqlSession):
    """A session that answers from a list of pages."""

    def __init__(self, pages: list[dict[str, Any]]) -> None:
        self.pages, self.asked = pages, list[str]()

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """The next page."""
        self.asked.append(f"{method} {path}")
        return self.pages.pop(0)


def page(kind: str, following: str | None, *rows: tuple[str, int]) -> dict[str, Any]:
    """A page of a result as the gateway sends it."""
    data = [{"kind": change, "fields": [value]} for change, value in rows]
    return {"resultType": kind, "nextResultUri": following, "results": {"columns": [{"name": "n"}], "data": data}}


def test_changes_page_by_page() -> None:
    """None where a page is empty; the end where Flink says so."""
    pages = [page("PAYLOAD", "/r/2"), page("EOS", None, ("DELETE", 1))]
    session = Pages(pages)
    result = Result(session, "/operations/o/result/0", page("PAYLOAD", "/operations/o/result/1", ("INSERT", 1)))
    assert result.columns == ["n"]
    assert list(result.changes()) == [Change("INSERT", (1,)), None, Change("DELETE", (1,))]
    assert session.asked == ["GET /operations/o/result/1", "GET /r/2"]


def test_close_ends_the_operation() -> None:
    """Whatever page was read last."""
    session = Pages([{}])
    Result(session, "/v3/sessions/s/operations/o/result/7?rowFormat=JSON", page("EOS", None)).close()
    assert session.asked == ["DELETE /v3/sessions/s/operations/o/close"]
