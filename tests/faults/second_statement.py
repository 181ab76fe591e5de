"""A changelog written twice: statement 4 is deleted and created again, and its old rows are never retracted."""

import re
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.faults.arena import SETTLE_S, Arena
from tests.faults.report import Result
from tests.faults.stack import Stack
from tests.faults.verdict import N_CLUSTERS, judge
from tests.support import inside, oracle
from tests.support.changelog import Change
from tests.support.oracle import Labelled
from tests.support.pipeline import Pipeline
from tests.support.waiting import wait_until

N_TRANSACTIONS = 800
KEPT = 0.5
"""Share of the transactions that the second statement still finds."""
WARNING = re.compile(r"^.*\bmore than one row\b.*$", re.MULTILINE)


def write_twice(stack: Stack, directory: Path, seed: int) -> Result:
    """A running client, a rebuild and a new client agree: of several rows, the newest is current. Each logs it once."""
    with Arena(stack, directory, "rebuild_second_statement", seed, flowing=False) as arena:
        feeder = arena.feeder
        pipeline = arena.pipeline
        feeder.write(N_TRANSACTIONS)
        undisturbed = arena.clients.start()
        _read_all(arena)
        feeder.restart_statement(KEPT)
        arena.faults += 1
        feeder.write(N_TRANSACTIONS // 4)
        began = time.time()
        _read_all(arena)
        arena.recovery.append(time.time() - began)
        undisturbed.wait_for_output("more than one row")  # logged once two ends are confirmed, after the labels
        warnings = [_warning(undisturbed.output)]
        if (code := undisturbed.stop()) != 0:
            raise AssertionError(f"the client ended with {code}:\n{undisturbed.output[-3000:]}")
        fresh = pipeline.twin()
        n_lost = n_wrong(pipeline, feeder.changes)
        for each, *more in ((pipeline, "--rebuild"), (fresh,)):
            done = inside.run(each.arguments("--until-end", *more))
            if done.code != 0:
                raise AssertionError(f"{more}: the client ended with {done.code}:\n{done.output}")
            warnings.append(_warning(done.output))
            n_lost += n_wrong(each, feeder.changes)
        _check_reports_them(pipeline)
        verdict = judge(pipeline, feeder, arena.watcher, stepwise=False, watched=False, onward=False)
        return Result(arena.name, arena.faults, arena.recovery, verdict._replace(lost=n_lost), warnings)


def expected(changes: Iterable[Change], timed: bool = False) -> dict[str, Labelled]:
    """The labelled rows: of several rows of a user, the one added last."""
    users: dict[str, Counter[tuple[float, int]]] = {}
    for op, (user_id, amount, number) in changes:
        rows = users.setdefault(user_id, Counter())
        count = rows.pop((amount, number), 0) if op.sign > 0 else rows[amount, number]
        rows[amount, number] = count + op.sign
    positive = {user_id: [row for row, count in rows.items() if count > 0] for user_id, rows in users.items()}
    current = {user_id: rows[-1] for user_id, rows in positive.items() if rows}
    numbers = oracle.labels(current, N_CLUSTERS, timed)
    return {user_id: Labelled(user_id, *row, numbers[user_id]) for user_id, row in current.items()}


def n_wrong(pipeline: Pipeline, changes: Iterable[Change]) -> int:
    """Count the users whose final record is not as expected."""
    wanted = expected(changes, pipeline.timed)
    found = pipeline.labelling()
    return sum(wanted.get(user_id) != found.get(user_id) for user_id in wanted.keys() | found.keys())


def _read_all(arena: Arena) -> None:
    """Wait until all offsets are committed, and until the labels are as expected or no longer change."""
    arena.feeder.flush()
    pipeline = arena.pipeline
    changes = arena.feeder.changes
    running = arena.clients.all[-1]
    wait_until(lambda: not pipeline.lag() or not running.running, "all to be read", SETTLE_S)
    deadline = time.monotonic() + SETTLE_S / 4
    while running.running and n_wrong(pipeline, changes) and time.monotonic() < deadline:
        time.sleep(0.1)


def _warning(output: str) -> str:
    """The warning about users with several rows, which must be logged once."""
    found = WARNING.findall(output)
    if len(found) != 1:
        raise AssertionError(f"{len(found)} warnings about several rows of a user, not one:\n{output[-3000:]}")
    return str(found[0])


def _check_reports_them(pipeline: Pipeline) -> None:
    found = inside.run(pipeline.arguments("--check")).output
    if "more than one row" not in found:
        raise AssertionError(f"--check does not report users with more than one row:\n{found}")
