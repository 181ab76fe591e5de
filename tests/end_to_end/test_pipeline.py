"""The SQL statements on real Flink and the client, from known transactions to `user_labeling_final`, row by row."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from fastavro import parse_schema
from fastavro.types import Schema

from local.live_table import LiveTable
from local.services.flink import FlinkCluster
from local.services.kafka import KafkaBroker
from local.services.process import free_port, start_all, stop_all
from local.services.registry import SchemaRegistry
from local.sql import datagen
from local.sql.catalog import Catalog
from local.sql.flink_tables import Endpoints
from local.sql.jobs import Jobs
from local.sql.workspace import SQL_DIRECTORY, Workspace
from tests.support import client, configuration, oracle
from tests.support.changelog import Change, Op, Row
from tests.support.subjects import Subjects
from tests.support.topics import Outgoing, Record, Topics
from tests.support.waiting import wait_until
from tests.support.wire import body, frame, schema_id_of, unframe

N_TRANSACTIONS = 400
HOP_COPIES = 2
"""Windows of 10 minutes that start every 5: each transaction is in two of them."""
SELECT_SECONDS = 60.0
TOPICS = ("transactions_enriched", "transactions_aggregate", "user_labeling", "user_labeling_final")
STATEMENT_5 = "statement 5"
BY_HAND = "by hand"
AVRO_KEYS = "statement 5 on a topic with Avro keys"
"""The ways to create `user_labeling`."""


class Transaction(NamedTuple):
    """One record of `transactions`."""

    transaction_id: int
    card_id: int
    user_id: str
    purchase_id: int
    store_id: int


def transactions(seed: int) -> list[Transaction]:
    """Return known transactions of Datagen's ten users, with different frequencies."""
    rng = random.Random(seed)
    users = ["User_", *(f"User_{number}" for number in range(1, 10))]
    frequencies = [rng.randint(1, 10) for _ in users]
    return [
        Transaction(number, rng.randint(1, 24), rng.choices(users, frequencies)[0], number - 1, rng.randint(1, 7))
        for number in range(1, N_TRANSACTIONS + 1)
    ]


@dataclass
class Run:
    """A finished run of the pipeline over a finite input, with its topics and messages."""

    output: str
    topics: Topics
    subjects: Subjects
    workspace: Workspace
    messages: list[str]
    transactions: list[Transaction]
    settled: dict[str, list[Record]] = field(default_factory=dict)
    parsed: dict[int, Schema] = field(default_factory=dict)

    @property
    def avro_keys(self) -> bool:
        """Whether the keys of `user_labeling` are Avro records."""
        return self.output == AVRO_KEYS

    def settle(self) -> None:
        """Read each topic once; nothing is written after this."""
        self.settled = {name: self.topics.read(name) for name in TOPICS}

    def records(self, topic: str) -> list[Record]:
        """Return all records of a topic with read_committed."""
        return self.settled.get(topic) or self.topics.read(topic)

    def rows(self, topic: str) -> list[tuple[Record, dict[str, Any]]]:
        """Return all records of a topic with their decoded values."""
        return [(record, self.decoded(record.value)) for record in self.records(topic)]

    def decoded(self, value: bytes | None) -> dict[str, Any]:
        """Decode a value with the schema of its id."""
        if value is None:
            raise AssertionError("a tombstone in a topic that has none")
        schema_id = schema_id_of(value)
        if schema_id not in self.parsed:
            self.parsed[schema_id] = parse_schema(self.subjects.schema(schema_id))
        fields: dict[str, Any] = unframe(self.parsed[schema_id], value)
        return fields

    def key(self, record: Record) -> str:
        """Return the user in a record's key."""
        assert record.key is not None
        if not self.avro_keys:
            return record.key.decode()
        user_id: str = unframe(self.subjects.schema(schema_id_of(record.key)), record.key)["user_id"]
        return user_id

    def changes(self, topic: str) -> list[tuple[Op, tuple[Any, ...]]]:
        """Return operation and row of each record, partition by partition."""
        return [(operation(record), tuple(fields.values())) for record, fields in self.rows(topic)]

    def aggregate(self) -> list[Change]:
        """Return the changelog of the totals."""
        return [Change(op, Row(*row)) for op, row in self.changes("transactions_aggregate")]

    def amounts(self) -> dict[int, float]:
        """Return the random amount of each transaction, by transaction_id."""
        return {fields["transaction_id"]: fields["amount"] for _, fields in self.rows("transactions_enriched")}

    def totals(self) -> dict[str, tuple[float, int]]:
        """Compute each user's sum and count in Python, both doubled because of HOP."""
        amounts = self.amounts()
        table: dict[str, tuple[float, int]] = {}
        for transaction in self.transactions:
            total, count = table.get(transaction.user_id, (0.0, 0))
            amount = amounts[transaction.transaction_id]
            table[transaction.user_id] = (total + HOP_COPIES * amount, count + HOP_COPIES)
        return table

    def labelled(self) -> dict[str, oracle.Labelled]:
        """Compute the labels with one fit on those totals."""
        totals = self.totals()
        labels = oracle.labels(totals, 3)
        return {user_id: oracle.Labelled(user_id, *row, labels[user_id]) for user_id, row in totals.items()}

    def final(self) -> Counter[tuple[Any, ...]]:
        """Replay `user_labeling_final` and return how often each row is in the table."""
        counts: Counter[tuple[Any, ...]] = Counter()
        for op, row in self.changes("user_labeling_final"):
            counts[row] += op.sign
        return Counter({row: count for row, count in counts.items() if count})


def operation(record: Record) -> Op:
    """Return the operation in the header `op`; without it the record is an insert."""
    value = dict(record.headers).get("op")
    return Op(value[0]) if isinstance(value, bytes) else Op.INSERT


@pytest.fixture(scope="module", params=[STATEMENT_5, BY_HAND, AVRO_KEYS])
def run(request: pytest.FixtureRequest, flink: FlinkCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The whole pipeline over a finite input; `user_labeling` is created in one of three ways."""
    directory = tmp_path_factory.mktemp("pipeline")
    broker = KafkaBroker(directory / "kafka", free_port())
    registry = SchemaRegistry(directory / "registry", free_port())
    messages: list[str] = []
    try:
        start_all([broker, registry])
        endpoints = Endpoints(broker.bootstrap_servers, registry.url)
        workspace = Workspace(flink.urls, endpoints, Catalog(directory), messages.append)
        topics = Topics(broker.bootstrap_servers)
        subjects = Subjects(registry.url)
        pipeline = Run(request.param, topics, subjects, workspace, messages, transactions(seed=4))
        run_pipeline(pipeline, directory)
        pipeline.settle()
        yield pipeline
    finally:
        Jobs(flink.urls.rest).cancel_all()
        stop_all([broker, registry])


def run_pipeline(run: Run, directory: Path) -> None:
    """Write the transactions, run statements 1 to 7 and the client, and wait until the last table is complete."""
    send_transactions(run)
    for number in (1, 2, 3, 4):
        run.workspace.run_file(statement(number))
    create_user_labeling(run)
    run.workspace.run_file(statement(6))
    if run.output != BY_HAND:
        run.workspace.run_file(statement(7))
    wait_until(lambda: aggregated(run) == HOP_COPIES * N_TRANSACTIONS, "every transaction to be aggregated")
    file = configuration.write(
        directory / "test.ini", configuration.sections(run.topics.bootstrap_servers, run.subjects.url)
    )
    done = client.run([file, "--until-end"])
    assert done.code == 0, done.output
    if run.output == BY_HAND:
        # After the client, as in Confluent Cloud: it registers the schema with which Flink reads the topic.
        run.workspace.run_file(statement(7))
    wait_until(lambda: run.final() == Counter(run.labelled().values()), "user_labeling_final to follow user_labeling")


def create_user_labeling(run: Run) -> None:
    """Create it by statement 5, by hand, or by an older statement 5 without 'key.format' and then the current one."""
    if run.output == BY_HAND:
        run.topics.create("user_labeling", 1, {"cleanup.policy": "compact"})
        return
    if run.output == AVRO_KEYS:
        lines = statement(5).read_text(encoding="utf-8").splitlines()
        run.workspace.run("\n".join(line for line in lines if "'key.format'" not in line))
    run.workspace.run_file(statement(5))


def send_transactions(run: Run) -> None:
    """Create the topic `transactions` and write the known ones."""
    run.topics.create(datagen.TOPIC, datagen.PARTITIONS)
    schema = datagen.schema()
    schema_id = run.subjects.register(f"{datagen.TOPIC}-value", schema)
    values = (frame(schema_id, body(schema, transaction._asdict())) for transaction in run.transactions)
    run.topics.write(datagen.TOPIC, (Outgoing(0, value, []) for value in values))


def statement(number: int) -> Path:
    """Return the file of a statement."""
    (path,) = SQL_DIRECTORY.glob(f"{number}_*.sql")
    return path


def aggregated(run: Run) -> int:
    """Return the number of transactions that the totals count now."""
    return sum(op.sign * row.num_transactions for op, row in run.aggregate())


def test_each_transaction_gets_an_amount(run: Run) -> None:
    """Statement 2: the five columns unchanged, FLOOR(RAND() * 100) as the sixth, inserts only."""
    changes = run.changes("transactions_enriched")
    assert {op for op, _ in changes} == {Op.INSERT}
    assert sorted(Transaction(*row[:5]) for _, row in changes) == run.transactions
    amounts = [row[5] for _, row in changes]
    assert all(amount in range(100) for amount in amounts)
    assert len(set(amounts)) > 50


def test_the_aggregate_is_the_totals(run: Run) -> None:
    """Statement 4: replayed in any order, the changelog results in twice each user's sum and count."""
    assert oracle.settled_table(run.aggregate()) == run.totals()


def test_the_aggregate_is_a_retract_changelog(run: Run) -> None:
    """Each user: one +I, every row but the last retracted in full, counts 1, 2, 3, ... without a gap."""
    totals = run.totals()
    changes = run.aggregate()
    for user_id, (_, count) in totals.items():
        own = [change for change in changes if change.row.user_id == user_id]
        added = {change.row.num_transactions: change for change in own if change.op.sign > 0}
        retracted = {change.row for change in own if change.op is Op.UPDATE_BEFORE}
        assert sorted(added) == list(range(1, count + 1))
        assert [added[number].op for number in sorted(added)] == [Op.INSERT, *[Op.UPDATE_AFTER] * (count - 1)]
        assert retracted == {change.row for number, change in added.items() if number < count}
        assert len(own) == 2 * count - 1


def test_the_aggregate_has_the_wire_format_of_confluent(run: Run) -> None:
    """No key; header `op` of one byte, none for +I; six partitions by value; a row's -U after its +U."""
    records = run.records("transactions_aggregate")
    assert {record.key for record in records} == {None}
    assert {tuple(record.headers) for record in records} == {(), (("op", b"\1"),), (("op", b"\2"),)}
    assert run.topics.partitions("transactions_aggregate") == [0, 1, 2, 3, 4, 5]
    assert {record.partition for record in records} == {0, 1, 2, 3, 4, 5}
    added: dict[bytes | None, Record] = {}
    for record in records:
        if operation(record).sign > 0:
            added[record.value] = record
        else:
            earlier = added[record.value]
            assert (earlier.partition, earlier.offset) < (record.partition, record.offset)
            assert earlier.partition == record.partition


@pytest.mark.parametrize("table", ["transactions_enriched", "transactions_aggregate", "user_labeling_final"])
def test_the_schemas_are_those_of_confluent(run: Run, table: str) -> None:
    """Subject <topic>-value, record <table>_value, every column nullable with default null."""
    (schema,) = {str(run.subjects.schema(schema_id_of(record.value or b""))) for record in run.records(table)}
    assert f"'name': '{table}_value'" in schema
    assert "'namespace': 'org.apache.flink.avro.generated.record'" in schema
    assert schema.count("'type': ['null', ") == schema.count("'default': None") == len(run.rows(table)[0][1])


def test_user_labeling_is_one_fit_on_the_totals(run: Run) -> None:
    """The client: the newest record of each user has the totals and the label that Python computes."""
    compacted = {run.key(record): row for record, row in run.rows("user_labeling")}
    expected = {user_id: row._asdict() for user_id, row in run.labelled().items()}
    assert compacted == expected
    assert {row["label"] for row in compacted.values()} == {0, 1, 2}


def test_the_subjects(run: Run) -> None:
    """One per topic, and one more if the keys of `user_labeling` are Avro."""
    answer = requests.get(f"{run.subjects.url}/subjects", timeout=SELECT_SECONDS)
    assert set(answer.json()) == {f"{topic}-value" for topic in (datagen.TOPIC, *TOPICS)} | (
        {"user_labeling-key"} if run.avro_keys else set()
    )


def test_statement_5_keeps_existing_avro_keys(run: Run) -> None:
    """And prints it. Otherwise keys are raw and have no schema."""
    assert run.subjects.exists("user_labeling-key") is run.avro_keys
    note = "already exists and is used as it is, with the Avro keys of its subject user_labeling-key"
    assert run.messages == ([f"topic user_labeling {note}"] if run.avro_keys else [])


def test_the_final_table_has_the_labelled_users(run: Run) -> None:
    """Statement 7: replayed, the changelog results in the rows of user_labeling."""
    assert run.final() == Counter(run.labelled().values())


def test_select_shows_the_labelled_users(run: Run) -> None:
    """Statement 8, as Flink returns it."""
    result = run.workspace.query_file(statement(8))
    table = LiveTable(result.columns)
    expected = sorted(tuple(row) for row in run.labelled().values())
    for change in result.changes(SELECT_SECONDS):
        if change is not None:
            table.apply(change)
        elif table.rows == expected:
            break
    result.close()
    assert table.columns == ["user_id", "total_amount", "num_transactions", "label"]
    assert table.rows == expected
