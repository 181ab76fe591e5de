"""Flink's responses: pages of a result, causes of an error."""

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
    """One line without class names."""
    assert innermost_cause(trace) == cause


class Pages(SqlSession):
    """A session that returns given pages."""

    def __init__(self, pages: list[dict[str, Any]]) -> None:
        self.pages = pages
        self.requests: list[str] = []

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Return the next page."""
        self.requests.append(f"{method} {path}")
        return self.pages.pop(0)


def page(kind: str, following: str | None, *rows: tuple[str, int]) -> dict[str, Any]:
    """Return a page of a result as the gateway sends it."""
    data = [{"kind": change, "fields": [value]} for change, value in rows]
    return {"resultType": kind, "nextResultUri": following, "results": {"columns": [{"name": "n"}], "data": data}}


def test_changes_page_by_page() -> None:
    """An empty page yields None; the page EOS is the last."""
    pages = [page("PAYLOAD", "/r/2"), page("EOS", None, ("DELETE", 1))]
    session = Pages(pages)
    result = Result(session, "/operations/o/result/0", page("PAYLOAD", "/operations/o/result/1", ("INSERT", 1)))
    assert result.columns == ["n"]
    assert list(result.changes()) == [Change("INSERT", (1,)), None, Change("DELETE", (1,))]
    assert session.requests == ["GET /operations/o/result/1", "GET /r/2"]


def test_close_ends_the_operation() -> None:
    """After any page."""
    session = Pages([{}])
    Result(session, "/v3/sessions/s/operations/o/result/7?rowFormat=JSON", page("EOS", None)).close()
    assert session.requests == ["DELETE /v3/sessions/s/operations/o/close"]
