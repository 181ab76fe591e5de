"""The setting of a scenario: a pipeline with a flowing input, clients to disturb, and a watcher of the output."""

import random
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tests.faults.clients import Clients, TracedClient
from tests.faults.feeder import Feeder
from tests.faults.report import Result
from tests.faults.stack import Stack
from tests.faults.verdict import expectation, judge, pending_of
from tests.faults.watcher import Watcher
from tests.support import configuration
from tests.support.pipeline import Pipeline

SETTLE_S = 60.0
"""How long a client may make no progress before the wait for it ends."""
FLOW_S = 60.0
"""How long there may be neither a label nor a log line after a fault; far more than a client needs."""
FLOW_AT_MOST_S = 300.0
"""How long there may be no label, whatever is logged: also a client that restores again and again logs."""
PARTITIONS = 6


class Arena:
    """The setting of one scenario; entering starts the flow, leaving ends everything.

    Parameters
    ----------
    producer : properties to add to [producer] of the configuration.
    bootstrap_servers : of the client, if it is to reach the brokers through relays.
    flowing : whether the input flows by itself.
    per_second : transactions per second of the flow.
    n_users : number of users of these transactions.
    """

    def __init__(
        self,
        stack: Stack,
        directory: Path,
        name: str,
        seed: int,
        producer: Mapping[str, str] | None = None,
        bootstrap_servers: str | None = None,
        output_partitions: int = 1,
        flowing: bool = True,
        per_second: int = 300,
        n_users: int = 200,
    ) -> None:
        self.stack = stack
        self.name = name = f"{name}_timed" if stack.timed else name
        self.flowing = flowing
        self.rng = random.Random(f"{seed} {name}")
        directory = directory / name
        directory.mkdir(parents=True)
        self.pipeline = Pipeline(stack.services, directory, f"{name}_{seed}", PARTITIONS, stack.timed)
        if output_partitions > 1:
            self.pipeline.topics.grow(self.pipeline.output, output_partitions)
        sections = self.pipeline.sections
        sections["producer"].update(producer or {})
        if bootstrap_servers is not None:
            for section in ("consumer", "producer"):
                sections[section]["bootstrap.servers"] = bootstrap_servers
        configuration.write(self.pipeline.file, sections)
        self.clients = Clients(self.pipeline)
        self.feeder = Feeder(self.pipeline, seed, n_users, per_second)
        self.watcher = Watcher(self.pipeline)
        self.recovery: list[float] = []
        """Seconds until labels flowed again, one for each measured fault."""
        self.faults = 0

    def __enter__(self) -> "Arena":
        self.watcher.start()
        if self.flowing:
            self.feeder.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clients.__exit__()
        self.watcher.stop()
        if kind is None:
            self.feeder.stop()
        else:
            self.feeder.abandon()

    def labels_flow(self, since: float | None = None) -> float:
        """Wait for a label made after `since`, by default now; return the seconds until it arrived."""
        start = time.time() if since is None else since
        began = logged = time.monotonic()
        written = 0
        while (seconds := self.watcher.label_since(start)) is None:
            client = self.clients.all[-1]
            now = time.monotonic()
            if client.n_written != written:
                written = client.n_written
                logged = now
            if not client.running or now > min(logged + FLOW_S, began + FLOW_AT_MOST_S):
                state = "ended" if not client.running else "still runs"
                where = f"the client {state}, in step {client.step.name}"
                raise AssertionError(f"no label arrived; {where}:\n{client.output[-4000:]}")
            time.sleep(0.02)
        return seconds

    def recovered(self, since: float) -> None:
        """Wait until labels flow again, and record how long it took."""
        self.recovery.append(self.labels_flow(since))

    def settle(self, client: TracedClient) -> None:
        """Stop the flow and wait until the client has committed everything, or makes no progress."""
        self.feeder.stop()
        ends = {partition: len(changes) for partition, changes in self.feeder.written_to.items()}
        expected = expectation(self.feeder.readable, self.pipeline.timed)[1]
        moved = time.monotonic()
        before = None
        while time.monotonic() < moved + SETTLE_S and client.running:
            offsets = self.pipeline.offsets()
            pending = pending_of(self.pipeline)
            if all(offsets.get(at) == end for at, end in ends.items()) and pending == expected:
                return
            if (offsets, pending) != before:
                moved = time.monotonic()
                before = (offsets, pending)
            time.sleep(0.1)

    def finish(self, client: TracedClient, stepwise: bool = True, watched: bool = True, onward: bool = True) -> Result:
        """Let the client finish its work, stop it gracefully, and judge; see `judge`."""
        self.settle(client)
        if client.running:
            client.wait_for_output("users restored")  # until then it has no handler for the signal
        output = client.output
        code = client.stop() if client.running else client.wait()
        if code != 0:
            raise AssertionError(f"{self.name}: the client ended with {code}:\n{output[-4000:]}")
        verdict = judge(self.pipeline, self.feeder, self.watcher, stepwise, watched, onward)
        return Result(self.name, self.faults, self.recovery, verdict)
