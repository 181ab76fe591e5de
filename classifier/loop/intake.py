"""The interface between the run loop and what it labels: users one by one, or with --cells users counted by cell.

`classifier.users.intake.UserIntake` and `classifier.cells.intake.CellIntake` implement it. The loop calls `restore` at
the start of a session and then, step by step: `gather` (often), `settle`, `fit`, `relabel`, `records`, `offsets` and,
once these are committed, `step_committed`.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from confluent_kafka import Consumer, TopicPartition
from numpy.typing import NDArray

from classifier.clustering.model import ClusterFunction, Clusters
from classifier.clustering.number_of_clusters import Chosen
from classifier.clustering.scaling import Weights
from classifier.features import Features
from classifier.kafka.record import BadRecord
from classifier.kafka.sink import OutputRecord
from classifier.kafka.topics import TopicWatch
from classifier.reports.step import Step


class Batch(Protocol):
    """The records read since the last step."""

    n_records: int  # as read

    @property
    def n_net(self) -> int:
        """Changes left after netting, records that cannot be read included."""

    @property
    def bad(self) -> Sequence[BadRecord]:
        """Records that cannot be read, for the dead letter topic; complete once settled."""

    def clear(self) -> None:
        """Start the next batch."""


class Changes(Protocol):
    """What a fit changes in the output."""

    def __len__(self) -> int:
        """Return the number of records to write."""

    @property
    def n_relabelled(self) -> int:
        """How many of them, the first ones, change nothing but a label."""


class Intake(Protocol):
    """Restores the state, reads the input into it, and turns the labels of a fit into records of the output.

    It reads Kafka and never writes to it.
    """

    unit: str  # what a record of the output labels: "user" or "cell"
    commits: str  # what a step commits besides its labels, for the last line of the log
    features: Features  # the columns of `totals`
    choice: Chosen | None  # of -k auto: read by `restore`, set by the loop, kept in what a step writes

    @property
    def consumer(self) -> Consumer:
        """Reads input and output; the sink commits offsets for its group."""

    @property
    def watch(self) -> TopicWatch:
        """Notices when a topic is deleted, recreated or given more partitions."""

    def heartbeat(self) -> bool:
        """Report that the client is alive while it does not read the input; return whether to continue."""

    # restore

    def restore(self) -> None:
        """Read the state from Kafka and start to read the input where it belongs; incomplete after a stop request."""

    def committed_now(self) -> dict[int, TopicPartition]:
        """Return the group's committed offsets by partition, as the broker knows them now."""

    # from records to the state that a fit takes

    @property
    def batch(self) -> Batch:
        """The records read since the last step."""

    @property
    def at_end(self) -> bool:
        """Whether every partition of the input has been read to its end."""

    def gather(self, limit: int = ...) -> None:
        """Poll once and add up to `limit` records to the batch."""

    def settle(self, *, last: bool = False, max_deletions: int | None = None) -> None:
        """Apply the batch to the state, and delete users who have no row any more, at most `max_deletions` of them.

        `last`: no step follows, so deletions that would wait for another end of the input are due now.
        """

    def input_ended(self) -> None:
        """Take note of an end of the input, once all records before it are settled."""

    def confirm_end(self) -> bool:
        """Return whether the leaders confirm that the input has been read to its end; False until all have answered."""

    def check(self) -> None:
        """Raise TopicsChanged if a topic changed since the restore; ask the leaders for records that were not read."""

    @property
    def needs_another_end(self) -> bool:
        """Whether the next end of the input may change something even if no record arrives before it."""

    @property
    def deletions_due(self) -> bool:
        """Whether a `last` step would delete users."""

    # fit

    @property
    def n_users(self) -> int:
        """Number of users."""

    @property
    def totals(self) -> NDArray[np.float64]:
        """What a fit takes, shape (n, n_features), in the units of the input."""

    @property
    def weights(self) -> Weights | None:
        """How many users each row of `totals` stands for, shape (n,); None for one each."""

    def fit(self, cluster: ClusterFunction, n_clusters: int) -> Clusters:
        """Fit the current state; return a label for each row of `totals`."""

    # what a step writes

    @property
    def divisible(self) -> bool:
        """Whether all records of the next step may be committed before its offsets, in any number of transactions.

        If not, only records that change nothing but a label may; the rest has to fit into one transaction.
        """

    def relabel(self, found: Clusters) -> Changes:
        """Take the labels of a fit; return what they change in the output."""

    def records(self) -> Iterator[OutputRecord]:
        """Encode the changes of the last `relabel` one by one, those that change nothing but a label first."""

    def offsets(self) -> list[TopicPartition]:
        """Return the offsets to commit with a step, with metadata; empty where none are committed."""

    def part_offsets(self) -> list[TopicPartition]:
        """Return the offsets to commit with each part of a step before its last one; may be empty."""

    def owns_offsets(self, *offsets: list[TopicPartition]) -> bool:
        """Return whether the committed offsets are the ones this instance knows, or `offsets`: no takeover."""

    def step_committed(self, offsets: list[TopicPartition]) -> None:
        """Take note that a step was committed with these offsets."""

    def step(self, found: Clusters, n_changes: int, fit_seconds: float, commit_seconds: float) -> Step:
        """Return the step for reports and the log."""
