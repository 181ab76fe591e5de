"""A SQL workspace as in Confluent Cloud: one statement at a time; tables are topics, and INSERTs keep running."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from local.services.artifacts import ROOT, Echo
from local.services.flink import FlinkUrls
from local.sql import datagen, flink_tables, inference
from local.sql.catalog import Catalog, Job
from local.sql.confluent_sql import CreateTable, Insert, StatementError, Table, parse, tables_read
from local.sql.flink_tables import Endpoints
from local.sql.jobs import Jobs
from local.sql.sql_gateway import Result, SqlSession
from local.sql.topics import Topics

SQL_DIRECTORY = ROOT / "sql"


def pipeline_files(folder: str = "") -> list[Path]:
    """Return the files of the pipeline's statements in their order, or of those in a folder of sql/."""
    return sorted((SQL_DIRECTORY / folder).glob("*.sql"))


class Workspace:
    """Runs Confluent Cloud's SQL on open-source Flink."""

    def __init__(self, flink: FlinkUrls, endpoints: Endpoints, catalog: Catalog, echo: Echo) -> None:
        self._session = SqlSession(flink.gateway, "workspace")
        self._jobs = Jobs(flink.rest)
        self._catalog = catalog
        self._topics = Topics(endpoints)
        self._endpoints = endpoints
        self._echo = echo
        self._created = _tables(catalog.tables.values())
        self._declared: dict[str, list[str]] = {}

    def run_file(self, path: Path) -> Result | None:
        """Run the statement in a file; see :meth:`run`."""
        try:
            return self.run(path.read_text(encoding="utf-8"))
        except StatementError as error:
            raise StatementError(f"{path}: {error}") from error

    def query_file(self, path: Path) -> Result:
        """Run the SELECT in a file."""
        result = self.run_file(path)
        if result is None or not result.is_query:
            raise StatementError(f"{path}: expected SELECT")
        return result

    def run(self, text: str, state: str | None = None) -> Result | None:
        """Run one statement; return None for CREATE TABLE and for an INSERT that is already running.

        The job of an INSERT or a SELECT keeps running.

        Parameters
        ----------
        state : the path of the savepoint or checkpoint from which an INSERT resumes.
        """
        statement = parse(text)
        if isinstance(statement, CreateTable):
            self._create(statement.table, text)
            return None
        for token in tables_read(statement.query):
            self.declare(token.identifier)
        if isinstance(statement, Insert):
            return self._insert(statement, text, state)
        result = self._session.execute(flink_tables.rowtime_query(statement.query))
        self._jobs.await_tasks(str(result.job_id))  # from now on it may be closed
        return result

    def start_datagen(self, rows_per_second: int, state: str | None = None) -> Result | None:
        """Create the topic ``transactions`` and write to it as the Datagen connector does; None if that is running."""
        job = Job(datagen.JOB_NAME, "", rows_per_second=rows_per_second)
        if self._is_running(job):
            return None
        self._topics.create(datagen.TOPIC, datagen.PARTITIONS)
        if self._topics.schema(f"{datagen.TOPIC}-value") is None:
            self._topics.register(f"{datagen.TOPIC}-value", json.dumps(datagen.schema()))
        self.declare(datagen.TOPIC)
        return self._start(job, datagen.statements(flink_tables.changelog(datagen.TOPIC), rows_per_second), state)

    def declare(self, name: str) -> Table:
        """Declare a table in the session, and declare it again if its topic has changed."""
        if not self._topics.exists(name):
            raise StatementError(f"topic {name} does not exist; create it first")
        if name in self._created:
            self._topics.register_schemas(self._created[name])
        table = self._table(name)
        statements = self.declarations(table)
        if self._declared.get(name) != statements:
            undo = flink_tables.undeclare(name) if name in self._declared else []
            self._declared[name] = []
            for statement in [*undo, *statements]:
                self._session.execute(statement)
            self._declared[name] = statements
        return table

    def declarations(self, table: Table) -> list[str]:
        """Return the Flink statements that declare a table with its registered schemas."""
        value = self._topics.schema(f"{table.name}-value")
        key = self._topics.schema(f"{table.name}-key")
        # Flink rejects a schema whose columns differ from the table's, but reads records of such a schema by field.
        if value is not None and not inference.describes(value, table):
            value = None
        return flink_tables.declare(table, self._endpoints, value, key)

    def declaration_script(self) -> str:
        """Return the declarations of the pipeline's five tables as a script for Flink's SQL client."""
        planned = _tables(path.read_text(encoding="utf-8") for path in pipeline_files())
        planned[datagen.TOPIC] = inference.table_of_schema(datagen.TOPIC, json.dumps(datagen.schema()))
        tables = [self._table(n) if self._exists(n) else planned[n] for n in {**planned, **self._created}]
        return "".join(f"{statement};\n\n" for table in tables for statement in self.declarations(table))

    def close(self) -> None:
        """Close the session; jobs keep running."""
        self._session.close()

    def _create(self, table: Table, text: str) -> None:
        # Recorded first: if this command is interrupted, the next one knows the table of the topic.
        self._created[table.name] = table
        self._catalog.add_table(table.name, text)
        if not self._topics.create_table(table):
            avro = table.has_raw_key and not self._table(table.name).has_raw_key
            keys = f", with the Avro keys of its subject {table.name}-key" if avro else ""
            self._echo(f"topic {table.name} already exists and is used as it is{keys}")

    def _is_running(self, job: Job) -> bool:
        job_id = self._jobs.find(job.name)
        if job_id is None:
            return False
        known = self._catalog.jobs.get(job.name)
        # An interrupted command may have started the job without recording it.
        if known is None or known.job_id != job_id:
            self._catalog.add_job(replace(job, job_id=job_id))
        self._echo(f"{job.name} is already running as job {job_id}")
        return True

    def _insert(self, statement: Insert, text: str, state: str | None) -> Result | None:
        table = self.declare(statement.target)
        job = Job(flink_tables.job_name(table, statement), "", statement=text)
        if self._is_running(job):
            return None
        return self._start(job, flink_tables.insert(statement, table), state)

    def _start(self, job: Job, statements: list[str], state: str | None) -> Result:
        *preparations, last = statements
        settings = {"pipeline.name": job.name}
        if state is not None:
            settings["execution.state-recovery.path"] = state
        try:
            for statement in [*preparations, *(f"SET '{key}' = '{value}'" for key, value in settings.items())]:
                self._session.execute(statement)
            result = self._session.execute(last)
        finally:
            for key in settings:
                self._session.execute(f"RESET '{key}'")
        self._catalog.add_job(replace(job, job_id=str(result.job_id)))
        return result

    def _exists(self, name: str) -> bool:
        return name in self._created or (self._topics.exists(name) and self._topics.schema(f"{name}-value") is not None)

    def _table(self, name: str) -> Table:
        key = self._topics.schema(f"{name}-key")
        if name in self._created:
            return flink_tables.with_key_format(self._created[name], "raw" if key is None else "avro-registry")
        value = self._topics.schema(f"{name}-value")
        if value is None:
            raise StatementError(
                f"unknown table {name}: there is no schema {name}-value; create the table first, "
                "or start the program that writes the topic and registers its schema"
            )
        if self._topics.is_compacted(name):
            return inference.upsert_table_of_schemas(name, value, key)
        return inference.table_of_schema(name, value)


def _tables(texts: Iterable[str]) -> dict[str, Table]:
    statements = (parse(text) for text in texts)
    return {s.table.name: s.table for s in statements if isinstance(s, CreateTable)}
