"""Your own data with real Flink: a load writes the same as Flink, and the statements of docs/own-data.md run."""

import json
from pathlib import Path

import fastavro

from local.own_data import load
from local.own_data.load import Target
from local.own_data.purchases import Purchases, ReadOptions
from local.sql.flink_tables import Endpoints
from local.sql.topics import Topics
from tests.end_to_end.sessions import Session
from tests.support import oracle
from tests.support.changelog import Change, Op, Row
from tests.support.pages import OWN_DATA
from tests.support.topics import Outgoing, Record
from tests.support.waiting import wait_until
from tests.support.wire import body, frame, record_schema, schema_id_of, unframe

N_PARTITIONS = 6
ORDERS_SCHEMA = record_schema("own_orders_value", order_id="long", customer_id="long", price="double")


def on_tables_of_this_test(sql: str) -> str:
    """Rename the tables, because the broker is shared."""
    return sql.replace("transactions_", "own_").replace("orders", "own_orders")


def without_id(record: Record) -> bytes:
    """Return a value without its schema id."""
    return (record.value or b"")[5:]


def test_a_load_writes_the_same_as_flink(session: Session, tmp_path: Path) -> None:
    """A copy by Flink has the same bodies and partitions, and no keys or headers either."""
    statement = on_tables_of_this_test(load.statement().read_text(encoding="utf-8"))
    session.workspace.run(statement)
    session.workspace.run(statement.replace("own_enriched", "own_copy"))
    registered = Topics(Endpoints(session.topics.bootstrap_servers, session.subjects.url)).latest_schema(
        "own_enriched-value"
    )
    assert registered is not None
    path = tmp_path / "purchases.csv"
    path.write_text("user,amount\n" + "".join(f"user {at % 7},{at / 4}\n" for at in range(300)), encoding="utf-8")
    into = Target(
        "own_enriched", N_PARTITIONS, registered.schema_id, fastavro.parse_schema(json.loads(registered.schema))
    )
    load.load(Purchases(path, ReadOptions()), 300, session.topics.bootstrap_servers, into)
    session.workspace.run("INSERT INTO own_copy SELECT * FROM own_enriched")
    wait_until(lambda: len(session.topics.read("own_copy")) == 300, "Flink to copy")
    loaded, copied = session.topics.read("own_enriched"), session.topics.read("own_copy")
    assert sorted(map(without_id, loaded)) == sorted(map(without_id, copied))
    for records in (loaded, copied):
        assert {(record.key, *record.headers) for record in records} == {(None,)}
        values = [record.value or b"" for record in records]
        assert [record.partition for record in records] == load.partitions(values, N_PARTITIONS)


def totals(session: Session) -> dict[str, tuple[float, int]]:
    """Return the current totals in own_aggregate."""
    changes = []
    for record in session.topics.read("own_aggregate"):
        row = unframe(session.subjects.schema(schema_id_of(record.value or b"")), record.value or b"")
        header = dict(record.headers).get("op") or b"\0"
        assert isinstance(header, bytes)
        changes.append(Change(Op(header[0]), Row(row["user_id"], row["total_amount"], row["num_transactions"])))
    return oracle.settled_table(changes)


def test_the_statements_of_the_page(session: Session) -> None:
    """In place of statement 2 and of statement 4, from a table with other column names."""
    create, instead_of_2, instead_of_4 = map(on_tables_of_this_test, OWN_DATA.blocks("sql"))
    session.workspace.run(create)
    schema_id = session.subjects.register("own_orders-value", ORDERS_SCHEMA)
    orders = [(1, 7, 10.0), (2, 7, 20.5), (3, 8, 5.0), (4, None, 99.0)]
    rows = [dict(zip(("order_id", "customer_id", "price"), order, strict=True)) for order in orders]
    values = [frame(schema_id, body(ORDERS_SCHEMA, row)) for row in rows]
    session.topics.write("own_orders", [Outgoing(0, value, []) for value in values])
    for number in (1, 3):
        (path,) = load.statement().parent.glob(f"{number}_*.sql")
        session.workspace.run(on_tables_of_this_test(path.read_text(encoding="utf-8")))
    before = len(session.topics.read("own_enriched"))
    session.workspace.run(instead_of_2)
    wait_until(lambda: len(session.topics.read("own_enriched")) == before + 3, "the orders to be enriched")
    session.workspace.run(instead_of_4)
    real = {"7": (30.5, 2), "8": (5.0, 1)}
    wait_until(lambda: totals(session) == real, "the totals")
    enriched = [
        unframe(session.subjects.schema(schema_id_of(record.value or b"")), record.value or b"")
        for record in session.topics.read("own_enriched")
    ]
    added = [row for row in enriched if row["user_id"] in real]
    assert sorted((row["purchase_id"], row["user_id"], row["amount"]) for row in added) == [
        (1, "7", 10.0),
        (2, "7", 20.5),
        (3, "8", 5.0),
    ]
