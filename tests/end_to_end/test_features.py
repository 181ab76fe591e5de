"""Features on real Flink: sql/rfm and sql/accounts with the client as docs/features.md runs it."""

import json
import shlex
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from confluent_kafka import Producer

from local.sql.flink_tables import Endpoints
from local.sql.sql_gateway import Result
from local.sql.topics import Topics
from local.sql.workspace import SQL_DIRECTORY
from tests.end_to_end.sessions import Session
from tests.end_to_end.tables import Row, same, written
from tests.support import client, configuration
from tests.support.pages import FEATURES
from tests.support.topics import Outgoing
from tests.support.waiting import wait_until
from tests.support.wire import body, frame, record_schema

NEWEST = datetime.now(UTC).replace(microsecond=250_000)
"""Recent, as the topics keep their records for seven days: a segment is deleted if all of its records are older."""
TRANSACTIONS = record_schema(
    "sample_value", transaction_id="long", card_id="long", user_id="string", purchase_id="long", store_id="int"
)


def run(session: Session, folder: str, *numbers: int, events: str = "account_events") -> Result | None:
    """Run statements of a folder, and return the last result; tables that other tests have, too, are renamed."""
    result = None
    for number in numbers:
        (path,) = (SQL_DIRECTORY / folder).glob(f"{number}_*.sql")
        text = path.read_text(encoding="utf-8").replace("transactions_enriched", "feature_purchases")
        text = text.replace("FROM transactions\n", "FROM feature_transactions\n").replace("account_events", events)
        result = session.workspace.run(text)
    return result


def produce(session: Session, topic: str, rows: Iterable[tuple[datetime, Row]]) -> None:
    """Write rows with their timestamps, in the schema of the topic's table."""
    endpoints = Endpoints(session.topics.bootstrap_servers, session.subjects.url)
    registered = Topics(endpoints).latest_schema(f"{topic}-value")
    assert registered is not None
    schema = json.loads(registered.schema)
    producer = Producer({"bootstrap.servers": session.topics.bootstrap_servers})
    for time, row in rows:
        value = frame(registered.schema_id, body(schema, row))
        producer.produce(topic, value, partition=0, timestamp=round(time.timestamp() * 1000))
    assert producer.flush(30) == 0


def label(session: Session, tmp_path: Path, table: str) -> None:
    """Run the commands of the page that read a table; the last one labels its users."""
    lines = [line for line in FEATURES.shell_lines if f" -t {table} " in line]
    sections = configuration.sections(session.topics.bootstrap_servers, session.subjects.url)
    file = configuration.write(tmp_path / "test.ini", sections)
    for line in lines:
        _, _, _, *options = shlex.split(line)
        done = client.run([file, *options, *(["--until-end"] if line == lines[-1] else [])])
        assert done.code == 0, done.output


def shown_columns(session: Session, folder: str, number: int) -> list[str]:
    """Run the SELECT of a folder and return its columns."""
    result = run(session, folder, number)
    assert result is not None
    columns = result.columns
    result.close()
    return columns


def test_recency_frequency_monetary_value(session: Session, tmp_path: Path) -> None:
    """Each purchase counts once; customers who stayed away have another label than those who spend as much today."""
    run(session, "", 1)
    run(session, "rfm", 1, 2, 3, 4, 5)
    expected: list[Row] = []
    purchases: list[tuple[datetime, Row]] = []
    for user in range(12):
        group = user % 3
        amounts = [(2.5, 4.0), (3.0, 3.5, 100.25), (900.0, 800.5, 700.0, 20.0)][group]
        newest = NEWEST - timedelta(days=(400, 2, 0)[group], seconds=user)
        row = {"user_id": f"user {user}", "total_amount": sum(amounts), "num_transactions": len(amounts)}
        expected.append({**row, "last_purchase": newest, "label": group})
        for age, amount in enumerate(amounts):
            purchase = {"transaction_id": user, "card_id": 1, "purchase_id": age, "store_id": 1, "amount": amount}
            purchases.append((newest - timedelta(days=age), {**purchase, "user_id": row["user_id"]}))
    nobody = {**purchases[0][1], "user_id": None}
    produce(session, "feature_purchases", [*purchases, (NEWEST, nobody)])
    totals = [{name: value for name, value in row.items() if name != "label"} for row in expected]
    wait_until(lambda: same(written(session, "user_rfm"), totals), "the totals")
    label(session, tmp_path, "user_rfm")
    wait_until(lambda: same(written(session, "user_rfm_labeling_final"), expected), "the labels")
    assert shown_columns(session, "rfm", 6) == list(expected[0])


def test_accounts(session: Session, tmp_path: Path) -> None:
    """Accounts with failed logins, and those that transfer much, have labels of their own."""
    run(session, "accounts", 1, 3, 4, 5, 6, 7)
    expected: list[Row] = []
    events: list[tuple[datetime, Row]] = []
    for account in range(12):
        group = account % 3
        n_failed, n_bytes, n_hosts = [(0, 20, 1), (1, 5_000_000, 3), (50, 10, 9)][group]
        logins = [("login", 0, number % n_hosts, number >= n_failed) for number in range(n_failed + 5)]
        events += [
            (NEWEST - timedelta(hours=age), event(f"account {account}", *each))
            for age, each in enumerate([*logins, ("transfer", n_bytes, 0, True), ("transfer", None, None, None)])
        ]
        row = {"user_id": f"account {account}", "num_failed_logins": n_failed, "num_logins": 5, "num_bytes": n_bytes}
        n_hosts = min(n_hosts, len(logins))
        expected.append({**row, "num_hosts": n_hosts, "label": group})
    produce(session, "account_events", [*events, (NEWEST, event(None, "login", 0, 1, False))])
    totals = [{name: value for name, value in row.items() if name != "label"} for row in expected]
    wait_until(lambda: same(written(session, "account_activity"), totals), "the activity")
    label(session, tmp_path, "account_activity")
    wait_until(lambda: same(written(session, "account_labeling_final"), expected), "the labels")
    assert shown_columns(session, "accounts", 8) == list(expected[0])


def test_sample_events(session: Session) -> None:
    """Statement 2 makes an event of each transaction: a third transfers, the others logins without bytes."""
    schema_id = session.subjects.register("feature_transactions-value", TRANSACTIONS)
    session.topics.create("feature_transactions")
    rows = [dict.fromkeys(("transaction_id", "card_id", "purchase_id", "store_id"), number) for number in range(300)]
    values = [frame(schema_id, body(TRANSACTIONS, {**row, "user_id": f"User_{row['card_id'] % 10}"})) for row in rows]
    session.topics.write("feature_transactions", [Outgoing(0, value, []) for value in values])
    run(session, "accounts", 1, 2, events="sample_events")
    wait_until(lambda: len(written(session, "sample_events")) == len(rows), "the events")
    events = written(session, "sample_events")
    logins = [row for row in events if row["event_type"] == "login"]
    transfers = [row for row in events if row["event_type"] == "transfer"]
    assert (len(logins), len(transfers)) == (200, 100)
    assert {row["num_bytes"] for row in logins} == {0}
    assert all(row["success"] for row in transfers)
    failed = {
        name: sum(row["account_id"] == name and not row["success"] for row in logins) for name in ("User_4", "User_5")
    }
    assert failed["User_4"] > failed["User_5"]
    assert max(transfers, key=lambda row: row["num_bytes"])["account_id"] == "User_8"


def event(account: str | None, kind: str, n_bytes: int | None, host: int | None, success: bool | None) -> Row:
    """One row of account_events."""
    name = None if host is None else f"host {host}"
    return {"account_id": account, "event_type": kind, "num_bytes": n_bytes, "host": name, "success": success}
