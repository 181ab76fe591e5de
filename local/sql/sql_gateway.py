"""A client of Flink's SQL gateway: send a statement, read its result row by row, see its error in one line."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import requests

HTTP_SECONDS = 60.0
POLL_SECONDS = 0.1


class SqlError(Exception):
    """Flink refused a statement or a job failed; the message is Flink's own cause."""


@dataclass(frozen=True)
class Change:
    """One row of a changelog: ``kind`` is INSERT, UPDATE_BEFORE, UPDATE_AFTER or DELETE."""

    kind: str
    fields: tuple[Any, ...]


@dataclass
class Result:
    """A running statement's result. ``job_id`` is None for statements that start no job."""

    session: SqlSession
    path: str
    first_page: Mapping[str, Any]

    @property
    def job_id(self) -> str | None:
        """The Flink job behind the statement."""
        return self.first_page.get("jobID")

    @property
    def is_query(self) -> bool:
        """Whether rows are to be expected: a SELECT, unlike an INSERT whose job just runs."""
        return bool(self.first_page.get("isQueryResult"))

    @property
    def columns(self) -> list[str]:
        """The names of the result's columns."""
        return [column["name"] for column in self.first_page["results"]["columns"]]

    def changes(self, seconds: float = float("inf")) -> Iterator[Change | None]:
        """The rows as they come, None whenever there is none at the moment; ends with the job or after ``seconds``."""
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
        """Stop the statement; ends the job of a SELECT."""
        operation = self.path.split("/result/")[0]
        self.session.request("DELETE", f"{operation}/close")


class SqlSession:
    """Statements of one session share its views and temporary tables."""

    def __init__(self, gateway_url: str, name: str, settings: Mapping[str, str] | None = None) -> None:
        self._url = gateway_url
        answer = self.request("POST", "/v3/sessions", {"sessionName": name, "properties": dict(settings or {})})
        self.handle: str = answer["sessionHandle"]

    def execute(self, statement: str) -> Result:
        """Send one statement and wait until Flink has accepted it (a query: until its job runs)."""
        path = f"/v3/sessions/{self.handle}"
        operation = self.request("POST", f"{path}/statements", {"statement": statement})["operationHandle"]
        first = f"{path}/operations/{operation}/result/0?rowFormat=JSON"
        page = self.request("GET", first)
        while page["resultType"] == "NOT_READY":
            time.sleep(POLL_SECONDS)
            page = self.request("GET", first)
        return Result(self, first, page)

    def close(self) -> None:
        """Forget the session's tables and views; jobs go on."""
        self.request("DELETE", f"/v3/sessions/{self.handle}")

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """One call of the REST interface; SqlError with the cause if Flink says no."""
        answer = requests.request(method, f"{self._url}{path}", json=body, timeout=HTTP_SECONDS)
        if "json" not in answer.headers.get("Content-Type", ""):
            answer.raise_for_status()
        document: Mapping[str, Any] = answer.json()
        if not answer.ok:
            raise SqlError(innermost_cause("\n".join(document.get("errors", [answer.text]))))
        return document


def innermost_cause(stack_trace: str) -> str:
    """The innermost cause of a Java stack trace, without the names of its classes."""
    lines = [line for line in stack_trace.splitlines() if not line.lstrip().startswith(("at ", "..."))]
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    deepest = (causes or [line for line in lines if line.strip()] or [""])[-1]
    exception, _, message = deepest.partition(": ")
    return message if message and "." in exception and " " not in exception else deepest
