"""A broker once answers that a topic does not exist while the client restores: the client reads all the same."""

import signal
from pathlib import Path

import pytest

from tests.faults.arena import Arena
from tests.faults.stack import RelayedStack
from tests.faults.steps import ENTRY, Aim, Step
from tests.support.waiting import wait_until

N_TRANSACTIONS = 100


@pytest.mark.parametrize(("topic", "again"), [("source", False), ("output", True)])
def test_unknown_once(stack: RelayedStack, tmp_path: Path, topic: str, again: bool) -> None:
    name = f"denied_{topic}_{'again' if again else 'first'}"
    with Arena(stack, tmp_path, name, 1, bootstrap_servers=stack.relay.bootstrap_servers, flowing=False) as arena:
        arena.feeder.write(N_TRANSACTIONS)
        if again:
            arena.feeder.flush()
            assert arena.clients.start("--until-end").wait() == 0
            arena.feeder.write(N_TRANSACTIONS)
        arena.feeder.flush()
        client = arena.clients.start("--until-end", aim=Aim(Step.RESTORE, 1, ENTRY, "SIGSTOP"))
        client.wait_until_stopped()
        stack.relay.hide(denied := str(getattr(arena.pipeline, topic)))
        hidden = stack.relay.hidden
        assert hidden is not None
        client.send(signal.SIGCONT)
        wait_until(lambda: hidden.n_denied or not client.running, f"a request for {denied}")
        stack.relay.show()
        assert client.wait() == 0, client.output
        assert len(arena.pipeline.labelling()) > N_TRANSACTIONS / 4, client.output
        result = arena.finish(arena.clients.start())
        assert result.passed, str(result)
