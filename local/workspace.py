"""A SQL workspace as in Confluent Cloud: one statement at a time, tables that are topics, inserts that keep running."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from local import datagen, flink_tables
from local.artifacts import ROOT
from local.catalog import Catalog, Job
from local.confluent_sql import CreateTable, Insert, StatementError, Table, parse, tables_read
from local.flink import FlinkUrls
from local.flink_tables import Endpoints
from local.jobs import Jobs
from local.sql_gateway import Result, SqlSession
from local.topics import Topics

SQL_DIRECTORY = ROOT / "sql"

Echo = Callable[[str], None]


def pipeline_files() -> list[Path]:
    """The pipeline's statements in the order in which they are run."""
    return sorted(SQL_DIRECTORY.glob("*.sql"))


class Workspace:
    """Runs Confluent Cloud's SQL on open-source Flink."""

    def __init__(self, flink: FlinkUrls, endpoints: Endpoints, catalog: Catalog, echo: Echo) -> None:
        self._session = SqlSession(flink.gateway, "workspace")
        self._jobs = Jobs(flink.rest)
        self._catalog = catalog
        self._topics = Topics(endpoints)
        self._endpoints = endpoints
        self._echo = echo
        self._created = _tables(path.read_text(encoding="utf-8") for path in pipeline_files())
        self._created |= _tables(catalog.tables.values())
        self._declared: dict[str, Table] = {}

    def run_file(self, path: Path) -> Result | None:
        """Run the one statement of a file."""
        try:
            return self.run(path.read_text(encoding="utf-8"))
        except StatementError as error:
            raise StatementError(f"{path}: {error}") from error

    def query_file(self, path: Path) -> Result:
        """Run a file that holds a SELECT."""
        result = self.run_file(path)
        if result is None or not result.is_query:
            raise StatementError(f"{path}: expected SELECT")
        return result

    def run(self, text: str, state: str | None = None) -> Result | None:
        """Run one statement; None for CREATE TABLE and for an INSERT that runs already.

        The job of an INSERT or a SELECT goes on. ``state`` is where an INSERT that ran before has left off.
        """
        statement = parse(text)
        if isinstance(statement, CreateTable):
            self._create(statement.table, text)
            return None
        for token in tables_read(statement.query):
            self.declare(token.identifier)
        if isinstance(statement, Insert):
            return self._insert(statement, text, state)
        return self._session.execute(flink_tables.rowtime_query(statement.query))

    def start_datagen(self, rows_per_second: int, state: str | None = None) -> Result | None:
        """Make the topic ``transactions`` and fill it as Confluent's Datagen connector does; None if that goes on."""
        if self._runs_already(datagen.JOB_NAME):
            return None
        if self._topics.create(datagen.TOPIC, datagen.PARTITIONS):
            self._topics.register(f"{datagen.TOPIC}-value", json.dumps(datagen.schema()))
        self.declare(datagen.TOPIC)
        statements = datagen.statements(flink_tables.changelog(datagen.TOPIC), rows_per_second)
        result = self._start_job(datagen.JOB_NAME, statements, state)
        self._catalog.add_job(Job(datagen.JOB_NAME, str(result.job_id), rows_per_second=rows_per_second))
        return result

    def declare(self, name: str) -> Table:
        """Make a table known to the session, as the cloud knows every topic."""
        if name not in self._declared:
            if not self._topics.exists(name):
                raise StatementError(f"there is no topic {name}; create it first")
            table = self._table(name)
            for statement in self.declarations(table):
                self._session.execute(statement)
            self._declared[name] = table
        return self._declared[name]

    def declarations(self, table: Table) -> list[str]:
        """The Flink statements that declare a table, by the schemas that are registered for it."""
        schema = self._topics.schema(f"{table.name}-value")
        raw_key = bool(table.primary_key) and self._topics.schema(f"{table.name}-key") is None
        return flink_tables.declare(table, self._endpoints, schema, raw_key)

    def declaration_script(self) -> str:
        """The declarations of the pipeline's five tables, for Flink's own SQL client."""
        self._created.setdefault(
            datagen.TOPIC, flink_tables.table_of_schema(datagen.TOPIC, json.dumps(datagen.schema()))
        )
        statements = [s for name in self._created for s in self.declarations(self._table(name))]
        return "".join(f"{statement};\n\n" for statement in statements)

    def close(self) -> None:
        """End the session; jobs go on."""
        self._session.close()

    def _create(self, table: Table, text: str) -> None:
        if not self._topics.create_table(table):
            self._echo(f"topic {table.name} exists already and is used as it is")
        self._created[table.name] = table
        self._catalog.add_table(table.name, text)

    def _runs_already(self, name: str) -> bool:
        job = self._catalog.jobs.get(name)
        if job is None or not self._jobs.is_running(job.job_id):
            return False
        self._echo(f"{name} runs already, as job {job.job_id}")
        return True

    def _insert(self, statement: Insert, text: str, state: str | None) -> Result | None:
        table = self.declare(statement.target)
        name = flink_tables.job_name(table, statement)
        if self._runs_already(name):
            return None
        result = self._start_job(name, flink_tables.insert(statement, table), state)
        self._catalog.add_job(Job(name, str(result.job_id), statement=text))
        return result

    def _start_job(self, name: str, statements: list[str], state: str | None) -> Result:
        *preparations, last = statements
        settings = {"pipeline.name": name}
        if state is not None:
            settings["execution.state-recovery.path"] = state
        changes = [f"SET '{key}' = '{value}'" for key, value in settings.items()]
        for statement in [*preparations, *changes]:
            self._session.execute(statement)
        result = self._session.execute(last)
        for key in settings:
            self._session.execute(f"RESET '{key}'")
        return result

    def _table(self, name: str) -> Table:
        if name in self._created:
            return self._created[name]
        schema = self._topics.schema(f"{name}-value")
        if schema is None:
            raise StatementError(f"unknown table {name}: there is no schema {name}-value; create the table first")
        return flink_tables.table_of_schema(name, schema)


def _tables(texts: Iterable[str]) -> dict[str, Table]:
    statements = (parse(text) for text in texts)
    return {s.table.name: s.table for s in statements if isinstance(s, CreateTable)}
