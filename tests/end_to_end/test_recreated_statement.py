"""Statement 4 is deleted and created again: its old rows are never taken back, and every reader finds the newest."""

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
    """Transactions of ten users, who buy more or less dearly."""
    rng = random.Random(start)
    numbers = [(at, rng.randrange(10)) for at in range(start, start + count)]
    return [Transaction(at, 1, f"User_{user}", at, 1, float(rng.randint(1, 9) * 10**user)) for at, user in numbers]


def statement(number: int) -> str:
    """A statement, on tables of this test alone: the broker is shared."""
    (path,) = SQL_DIRECTORY.glob(f"{number}_*.sql")
    return path.read_text(encoding="utf-8").replace("transactions_", "again_")


def spend(session: Session, spent: list[Transaction]) -> None:
    """Write transactions as statement 2 does."""
    schema_id = session.subjects.register("again_enriched-value", ENRICHED_SCHEMA)  # as it is already
    values = (frame(schema_id, body(ENRICHED_SCHEMA, transaction._asdict())) for transaction in spent)
    session.topics.write("again_enriched", [Outgoing(0, value, []) for value in values])


def aggregated(session: Session) -> int:
    """How many transactions all rows count that were not taken back."""
    rows: Counter[int] = Counter()
    for record in session.topics.read(SOURCE):
        assert record.value is not None
        fields: dict[str, Any] = unframe(session.subjects.schema(schema_id_of(record.value)), record.value)
        rows[fields["num_transactions"]] += -1 if dict(record.headers).get("op") in (b"\1", b"\3") else 1
    return sum(number * count for number, count in rows.items())


def run_statement_4(session: Session, n_counted: int) -> None:
    """Run it until all is counted, then cancel its job, as a statement is deleted."""
    session.workspace.run(statement(4))
    wait_until(lambda: aggregated(session) == n_counted, "every transaction to be aggregated")
    session.jobs.cancel_all()
    wait_until(lambda: "RUNNING" not in session.jobs.states().values(), "the statement to end")


def expected(spent: list[Transaction]) -> dict[str, oracle.Labelled]:
    """What the second statement says, labelled by one fit."""
    totals: dict[str, tuple[float, int]] = {}
    for each in spent:
        amount, count = totals.get(each.user_id, (0.0, 0))
        totals[each.user_id] = amount + HOP_COPIES * each.amount, count + HOP_COPIES
    labels = oracle.labels(totals, 3)
    return {user_id: oracle.Labelled(user_id, *row, labels[user_id]) for user_id, row in totals.items()}


class Labelling:
    """An output and a group of one client."""

    def __init__(self, session: Session, directory: Path, name: str) -> None:
        self.session, self.output = session, f"again_labeling_{name}"
        session.topics.create(self.output, 1, {"cleanup.policy": "compact"})
        sections = configuration.sections(session.topics.bootstrap_servers, session.subjects.url)
        file = configuration.write(directory / f"{name}.ini", sections)
        self.arguments = [str(file), "-t", SOURCE, "-o", self.output, "-g", f"again_group_{name}"]

    def run(self, *more: str) -> Finished:
        """Run the client to the end of the input; it warns once."""
        done = client.run([*self.arguments, "--until-end", *more])
        assert done.code == 0, done.output
        assert done.output.count(TWICE) == 1
        return done

    @property
    def rows(self) -> dict[str, oracle.Labelled]:
        """The output, compacted."""
        found = {}
        for record in self.session.topics.compacted(self.output).values():
            assert record.value is not None
            fields = unframe(self.session.subjects.schema(schema_id_of(record.value)), record.value)
            found[fields["user_id"]] = oracle.Labelled(**fields)
        return found


def test_a_statement_that_is_created_again(session: Session, tmp_path: Path) -> None:
    first, more = transactions(0, 150), transactions(150, 60)
    for number in (1, 3):
        session.workspace.run(statement(number))
    spend(session, first)
    run_statement_4(session, HOP_COPIES * len(first))
    undisturbed, fresh = (Labelling(session, tmp_path, name) for name in ("undisturbed", "fresh"))
    with Client(undisturbed.arguments, tmp_path / "log") as running:
        wait_until(lambda: undisturbed.rows == expected(first), "the first statement's labels")
        spend(session, more)
        run_statement_4(session, HOP_COPIES * (2 * len(first) + len(more)))
        wait_until(lambda: undisturbed.rows == expected(first + more), "the second statement's labels")
        running.wait_for_output(TWICE)
        assert running.stop() == 0
        assert running.output.count(TWICE) == 1
    fresh.run()
    assert fresh.rows == expected(first + more)
    undisturbed.run("--rebuild")
    assert undisturbed.rows == expected(first + more)
    told = client.run([*fresh.arguments, "--check"])
    assert (told.code, TWICE in told.stdout) == (1, True)
