"""A client of Flink's SQL gateway: send a statement, read its result row by row, get its error as one line."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import requests

HTTP_SECONDS = 60.0
POLL_SECONDS = 0.1


class SqlError(Exception):
    """Raised when Flink rejects a statement or its job fails; the message is the innermost cause."""


@dataclass(frozen=True)
class Change:
    """One row of a changelog: ``kind`` is INSERT, UPDATE_BEFORE, UPDATE_AFTER or DELETE."""

    kind: str
    fields: tuple[Any, ...]


@dataclass
class Result:
    """The result of a running statement."""

    session: SqlSession
    path: str
    first_page: Mapping[str, Any]

    @property
    def job_id(self) -> str | None:
        """The id of the statement's Flink job; None if it started none."""
        return self.first_page.get("jobID")

    @property
    def is_query(self) -> bool:
        """Whether the result has rows: true for a SELECT, false for an INSERT."""
        return bool(self.first_page.get("isQueryResult"))

    @property
    def columns(self) -> list[str]:
        """The names of the result's columns."""
        return [column["name"] for column in self.first_page["results"]["columns"]]

    def changes(self, seconds: float = float("inf")) -> Iterator[Change | None]:
        """Yield the rows as they arrive, and None at each pause; end with the job or after ``seconds``."""
        deadline = time.monotonic() + seconds
        page = self.first_page
        while True:
            rows = page.get("results", {}).get("data", [])
            yield from (Change(row["kind"], tuple(row["fields"])) for row in rows)
            if page["resultType"] == "EOS" or time.monotonic() > deadline:
                return
            if not rows:
                yield None
                time.sleep(POLL_SECONDS)
            if page.get("nextResultUri"):
                self.path = page["nextResultUri"]
            page = self.session.request("GET", self.path)

    def close(self) -> None:
        """Close the statement, which stops the job of a SELECT."""
        operation = self.path.split("/result/")[0]
        self.session.request("DELETE", f"{operation}/close")


class SqlSession:
    """A session of the gateway; its statements share views and temporary tables."""

    def __init__(self, gateway_url: str, name: str, settings: Mapping[str, str] | None = None) -> None:
        self._url = gateway_url
        answer = self.request("POST", "/v3/sessions", {"sessionName": name, "properties": dict(settings or {})})
        self.handle: str = answer["sessionHandle"]

    def execute(self, statement: str) -> Result:
        """Send a statement and wait until Flink has accepted it; for a query, until its job runs."""
        path = f"/v3/sessions/{self.handle}"
        operation = self.request("POST", f"{path}/statements", {"statement": statement})["operationHandle"]
        first = f"{path}/operations/{operation}/result/0?rowFormat=JSON"
        page = self.request("GET", first)
        while page["resultType"] == "NOT_READY":
            time.sleep(POLL_SECONDS)
            page = self.request("GET", first)
        return Result(self, first, page)

    def close(self) -> None:
        """Close the session and drop its tables and views; jobs continue."""
        self.request("DELETE", f"/v3/sessions/{self.handle}")

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Call the REST interface and return its JSON; SqlError with the cause if Flink reports an error."""
        answer = requests.request(method, f"{self._url}{path}", json=body, timeout=HTTP_SECONDS)
        if "json" not in answer.headers.get("Content-Type", ""):
            answer.raise_for_status()
        document: Mapping[str, Any] = answer.json()
        if not answer.ok:
            raise SqlError(innermost_cause("\n".join(document.get("errors", [answer.text]))))
        return document


def innermost_cause(stack_trace: str) -> str:
    """Return the innermost cause of a Java stack trace, without class names."""
    lines = [line for line in stack_trace.splitlines() if not line.lstrip().startswith(("at ", "..."))]
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    deepest = (causes or [line for line in lines if line.strip()] or [""])[-1]
    exception, _, message = deepest.partition(": ")
    return message if message and "." in exception and " " not in exception else deepest
