"""An input of a few users that is written in transactions, each of which changes all of them."""

from tests.support.changelog import Aggregate, Change, place_by_hash
from tests.support.pipeline import Pipeline

N_USERS = 40


class UsersInput:
    """Writes the changes of users, spread over all partitions by the hash of the row."""

    def __init__(self, pipeline: Pipeline, n_users: int = N_USERS) -> None:
        self._pipeline, self._table, self._n_written = pipeline, Aggregate(), 0
        self._n_partitions = len(pipeline.topics.partitions(pipeline.source))
        for number in range(n_users):
            self._table.spend(f"User_{number}", 10.0 ** (number % 3) * (number + 1))

    @property
    def changes(self) -> list[Change]:
        """All changes, in order."""
        return self._table.changes

    def spend(self, *, deleted: str | None = None) -> None:
        """Write one transaction: every user buys something, except one who is deleted."""
        if self._n_written:
            self._change_all(deleted)
        changes = self.changes[self._n_written :]
        self._n_written = len(self.changes)
        records = self._pipeline.outgoing(place_by_hash(changes, self._n_partitions))
        self._pipeline.topics.write_in_transaction(self._pipeline.source, records, commit=True)

    def _change_all(self, deleted: str | None) -> None:
        for number, user_id in enumerate(list(self._table.rows)):
            if user_id == deleted:
                self._table.delete(user_id)
            else:
                self._table.spend(user_id, 10.0 ** (number % 3) * (number + 1))
