"""Statement 4 is deleted and created again: its old rows are never retracted, and the client uses the newest."""

import random
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from local.sql.workspace import SQL_DIRECTORY
from tests.end_to_end.sessions import Session
from tests.support import client, configuration, oracle
from tests.support.client import Client, Finished
from tests.support.topics import Outgoing
from tests.support.waiting import wait_until
from tests.support.wire import body, frame, record_schema, schema_id_of, unframe

HOP_COPIES = 2
"""Windows of 10 minutes that start every 5: each transaction is in two of them."""
SOURCE = "again_aggregate"
NUMBERS = dict.fromkeys(("transaction_id", "card_id", "purchase_id"), "long")
ENRICHED_SCHEMA = record_schema(
    "again_enriched_value", **{**NUMBERS, "user_id": "string", "store_id": "int", "amount": "double"}
)
TWICE = "have more than one row, of which the newest counts"


class Transaction(NamedTuple):
    """A row of `transactions_enriched`."""

    transaction_id: int
    card_id: int
    user_id: str
    purchase_id: int
    store_id: int
    amount: float


def transactions(start: int, count: int) -> list[Transaction]:
    """Return transactions of ten users with different amounts."""
    rng = random.Random(start)
    numbers = [(at, rng.randrange(10)) for at in range(start, start + count)]
    return [Transaction(at, 1, f"User_{user}", at, 1, float(rng.randint(1, 9) * 10**user)) for at, user in numbers]


def statement(number: int) -> str:
    """Return a statement with other table names, because the broker is shared."""
    (path,) = SQL_DIRECTORY.glob(f"{number}_*.sql")
    return path.read_text(encoding="utf-8").replace("transactions_", "again_")


def write_transactions(session: Session, spent: list[Transaction]) -> None:
    """Write transactions as statement 2 does."""
    schema_id = session.subjects.register("again_enriched-value", ENRICHED_SCHEMA)  # already registered
    values = (frame(schema_id, body(ENRICHED_SCHEMA, transaction._asdict())) for transaction in spent)
    session.topics.write("again_enriched", [Outgoing(0, value, []) for value in values])


def aggregated(session: Session) -> int:
    """Return the number of transactions in all rows that were not retracted."""
    rows: Counter[int] = Counter()
    for record in session.topics.read(SOURCE):
        assert record.value is not None
        fields: dict[str, Any] = unframe(session.subjects.schema(schema_id_of(record.value)), record.value)
        rows[fields["num_transactions"]] += -1 if dict(record.headers).get("op") in (b"\1", b"\3") else 1
    return sum(number * count for number, count in rows.items())


def run_statement_4(session: Session, n_counted: int) -> None:
    """Run the statement until all transactions are counted, then cancel its job, as deleting it does."""
    session.workspace.run(statement(4))
    wait_until(lambda: aggregated(session) == n_counted, "every transaction to be aggregated")
    session.jobs.cancel_all()
    wait_until(lambda: "RUNNING" not in session.jobs.states().values(), "the statement to end")


def expected(spent: list[Transaction]) -> dict[str, oracle.Labelled]:
    """Return the totals of the second statement with the labels of one fit."""
    totals: dict[str, tuple[float, int]] = {}
    for each in spent:
        amount, count = totals.get(each.user_id, (0.0, 0))
        totals[each.user_id] = amount + HOP_COPIES * each.amount, count + HOP_COPIES
    labels = oracle.labels(totals, 3)
    return {user_id: oracle.Labelled(user_id, *row, labels[user_id]) for user_id, row in totals.items()}


class Labelling:
    """The output and the group of one client."""

    def __init__(self, session: Session, directory: Path, name: str) -> None:
        self.session = session
        self.output = f"again_labeling_{name}"
        session.topics.create(self.output, 1, {"cleanup.policy": "compact"})
        sections = configuration.sections(session.topics.bootstrap_servers, session.subjects.url)
        file = configuration.write(directory / f"{name}.ini", sections)
        self.arguments = [str(file), "-t", SOURCE, "-o", self.output, "-g", f"again_group_{name}"]

    def run(self, *more: str) -> Finished:
        """Run the client to the end of the input; it must warn once."""
        done = client.run([*self.arguments, "--until-end", *more])
        assert done.code == 0, done.output
        assert done.output.count(TWICE) == 1
        return done

    @property
    def rows(self) -> dict[str, oracle.Labelled]:
        """The newest row of each user in the output."""
        found = {}
        for record in self.session.topics.compacted(self.output).values():
            assert record.value is not None
            fields = unframe(self.session.subjects.schema(schema_id_of(record.value)), record.value)
            found[fields["user_id"]] = oracle.Labelled(**fields)
        return found


def test_a_recreated_statement(session: Session, tmp_path: Path) -> None:
    first = transactions(0, 150)
    more = transactions(150, 60)
    for number in (1, 3):
        session.workspace.run(statement(number))
    write_transactions(session, first)
    run_statement_4(session, HOP_COPIES * len(first))
    undisturbed, fresh = (Labelling(session, tmp_path, name) for name in ("undisturbed", "fresh"))
    with Client(undisturbed.arguments, tmp_path / "log") as running:
        wait_until(lambda: undisturbed.rows == expected(first), "the first statement's labels")
        write_transactions(session, more)
        run_statement_4(session, HOP_COPIES * (2 * len(first) + len(more)))
        wait_until(lambda: undisturbed.rows == expected(first + more), "the second statement's labels")
        running.wait_for_output(TWICE)
        assert running.stop() == 0
        assert running.output.count(TWICE) == 1
    fresh.run()
    assert fresh.rows == expected(first + more)
    undisturbed.run("--rebuild")
    assert undisturbed.rows == expected(first + more)
    check = client.run([*fresh.arguments, "--check"])
    assert check.code == 1
    assert TWICE in check.stdout
