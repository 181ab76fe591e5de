"""Where a scenario takes place: a pipeline whose input flows, clients to be struck, and somebody who looks on."""

import random
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tests.faults.clients import Clients, TracedClient
from tests.faults.feeder import Feeder
from tests.faults.relay import LOOPBACK, Relay
from tests.faults.report import Result
from tests.faults.stack import Stack
from tests.faults.verdict import expectation, judge, pending_of
from tests.faults.watcher import Watcher
from tests.support import configuration
from tests.support.pipeline import Pipeline

SETTLE_S = 60.0
"""How long a client may stand still before it counts as one that gets no further."""
FLOW_S = 60.0
"""How long labels may stay away after a fault without a word of the client; far more than they need."""
FLOW_AT_MOST_S = 300.0
"""How long whatever it says: on a busy machine it has much to say, and so has one that restores for ever."""
PARTITIONS = 6


class Arena:
    """One scenario's surroundings; entering starts the flow, leaving ends everything.

    Parameters
    ----------
    producer : properties to add to [producer] of the configuration.
    relay : through which the client reaches the broker; directly by default.
    flowing : whether the input flows by itself.
    per_second : transactions a second of the flow.
    n_users : among whom they are.
    """

    def __init__(
        self,
        stack: Stack,
        directory: Path,
        name: str,
        seed: int,
        producer: Mapping[str, str] | None = None,
        relay: Relay | None = None,
        output_partitions: int = 1,
        flowing: bool = True,
        per_second: int = 300,
        n_users: int = 200,
    ) -> None:
        self.stack, self.name, self.flowing, self.rng = stack, name, flowing, random.Random(f"{seed} {name}")
        directory = directory / name
        directory.mkdir(parents=True)
        self.pipeline = Pipeline(stack.services, directory, f"{name}_{seed}", PARTITIONS)
        if output_partitions > 1:
            self.pipeline.topics.grow(self.pipeline.output, output_partitions)
        sections = self.pipeline.sections
        sections["producer"].update(producer or {})
        if relay is not None:
            for section in ("consumer", "producer"):
                sections[section]["bootstrap.servers"] = f"{LOOPBACK}:{relay.port}"
        configuration.write(self.pipeline.file, sections)
        self.clients = Clients(self.pipeline)
        self.feeder = Feeder(self.pipeline, seed, n_users, per_second)
        self.watcher = Watcher(self.pipeline)
        self.recovery: list[float] = []
        """Seconds until labels flowed again, one for each fault that was measured."""
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
        """Wait until a label made after `since` (now) is seen; return the seconds that took."""
        start = time.time() if since is None else since
        began = heard = time.monotonic()
        written = 0
        while (seconds := self.watcher.label_since(start)) is None:
            client, now = self.clients.all[-1], time.monotonic()
            if client.n_written != written:
                written, heard = client.n_written, now
            if not client.running or now > min(heard + FLOW_S, began + FLOW_AT_MOST_S):
                state = "ended" if not client.running else "still runs"
                where = f"the client {state}, in step {client.step.name}"
                raise AssertionError(f"no label flowed; {where}:\n{client.output[-4000:]}")
            time.sleep(0.02)
        return seconds

    def recovered(self, since: float) -> None:
        """Wait until labels flow again, and note how long it took."""
        self.recovery.append(self.labels_flow(since))

    def settle(self, client: TracedClient) -> None:
        """Stop the flow and wait until the client has read all and owes nothing, or does not get any further."""
        self.feeder.stop()
        ends = {partition: len(changes) for partition, changes in self.feeder.lying.items()}
        owed = expectation(self.feeder.readable)[1]
        moved, before = time.monotonic(), None
        while time.monotonic() < moved + SETTLE_S and client.running:
            offsets, pending = self.pipeline.offsets(), pending_of(self.pipeline)
            if all(offsets.get(at) == end for at, end in ends.items()) and pending == owed:
                return
            if (offsets, pending) != before:
                moved, before = time.monotonic(), (offsets, pending)
            time.sleep(0.1)

    def finish(self, client: TracedClient, stepwise: bool = True, watched: bool = True, onward: bool = True) -> Result:
        """Let the client finish its work, stop it in good order, and judge; see `judge`."""
        self.settle(client)
        if client.running:
            client.wait_for_output("users restored")  # until then it has no handler for the signal
        output = client.output
        code = client.stop() if client.running else client.wait()
        if code != 0:
            raise AssertionError(f"{self.name}: the client ended with {code}:\n{output[-4000:]}")
        verdict = judge(self.pipeline, self.feeder, self.watcher if watched else None, stepwise, onward)
        return Result(self.name, self.faults, self.recovery, verdict)
