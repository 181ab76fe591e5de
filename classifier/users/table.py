"""The user table: one current row per user, in whatever order rows are added and retracted."""

import bisect
import itertools
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray

from classifier.features import TOTALS, Features
from classifier.row import Row
from classifier.users.multiset import EMPTY, Multiset, UserRows, added, as_multiset, current_row

NO_LABEL = -1  # of a row that is new or has changed since the last `relabel`
CHANGES_PER_BLOCK = 1_000  # prepared at a time
EXACT = 2.0**53  # below it a double holds every whole number
# A record of the output: user_id, row (None: a tombstone), label, pending rows.
Change = tuple[str, Row | None, int, Multiset]


@dataclass
class LabelledUsers:
    """The content of `user_labeling`, by column: as objects, a million users would take three times the memory."""

    user_ids: list[str]  # of users that are not deleted, ascending
    rows: list[Row]
    labels: NDArray[np.int32]
    pending: dict[str, Multiset]  # pending rows by user, deleted users included; may be empty
    unreadable: set[str] = field(default_factory=set)  # other users, whose rows cannot be read; only in a rebuild


@dataclass
class UserChanges:
    """What a fit changes in the output; valid until the table changes again."""

    table: "UserTable"
    indices: NDArray[np.intp]  # of users in the table
    deleted: list[str]  # users that are in the table no more
    n_relabelled: int  # how many of `indices`, the first ones, differ from the output in their label alone

    def __len__(self) -> int:
        return len(self.indices) + len(self.deleted)

    def __iter__(self) -> Iterator[Change]:
        for start in range(0, len(self.indices), CHANGES_PER_BLOCK):
            yield from self.table.changes_at(self.indices[start : start + CHANGES_PER_BLOCK])
        for user_id in self.deleted:
            yield user_id, None, NO_LABEL, self.table.pending(user_id)


class UserTable:
    """One current row per user, in whatever order rows are added and retracted.

    The rows of a user are a signed multiset. A retraction may come before its row: then the count is negative for a
    while (an unmatched retraction). The current row is the one added last whose count is positive.

    The table shows one row per user: the current row, or for a rowless user the last current row, until `delete`. All
    else that is known of a user is pending: all counts, with the shown row's reduced by one.

    1. `add_all` and `replace` collect changes.
    2. `settle` chooses the current row of each user they concern.
    3. `delete` removes rowless users; the intake decides when.
    4. `relabel` takes the labels of a fit and returns what changes in the output.

    Users are in the order of user_id, so that labels depend on the rows alone and not on the order of arrival.

    A changelog that was written twice leaves users with several rows. The ends of the input order these: a row added
    after an end (`input_ended`) is newer than all rows before it. The order of rows added between the same two ends is
    unknown, and their user is `unordered` until `reorder`.
    """

    def __init__(self, features: Features = TOTALS) -> None:
        self.features = features
        self.user_ids: list[str] = []
        self.totals: NDArray[np.float64] = np.empty((0, len(features)))  # the shown rows
        self.labels: NDArray[np.int32] = np.empty(0, np.int32)  # of the last `relabel`, or NO_LABEL
        # Users that are shown without a current row, or are in the output with a row that cannot be read.
        self.rowless: set[str] = set()
        self.duplicated: set[str] = set()  # users with more than one row, or with one row more than once
        self.unordered: set[str] = set()  # those of them whose rows are in the order of reading, not of writing
        self.settled_since_end = True  # whether batches were settled since the last end of the input
        self._shown: dict[str, Row] = {}  # the shown row, by user
        self._pending: dict[str, Multiset] = {}  # by user: all rows but {shown row: 1}
        self._unsettled: dict[str, UserRows] = {}  # all rows of the users that changed since `settle`
        self._changed: set[str] = set()  # since `relabel`: users that were deleted or whose pending rows changed
        # Of a table that the input has to confirm:
        self._output_pending: dict[str, Multiset] = {}  # pending rows in the output, by user
        self._output_deleted: AbstractSet[str] = set()  # those of these users that have a tombstone there

    def __len__(self) -> int:
        return len(self.user_ids)

    @property
    def rows(self) -> list[Row]:
        """The shown rows, in the order of user_id."""
        return [self._shown[user_id] for user_id in self.user_ids]

    @property
    def n_unmatched(self) -> int:
        """Number of users known by unmatched retractions alone."""
        return sum(user_id not in self._shown for user_id in self._pending)

    def row_checksum(self) -> int:
        """Return the CRC-32 of the shown rows in the order of user_id.

        It does not depend on labels: those of a large step may be in the output before its offsets are committed.
        """
        return zlib.crc32((self.totals + 0.0).data)  # which makes 0.0 of -0.0: rows with either are equal

    def row(self, user_id: str) -> Row | None:
        """Return the shown row of a user."""
        return self._shown.get(user_id)

    def pending(self, user_id: str) -> Multiset:
        """Return the pending rows of a user: all but {shown row: 1}."""
        return self._pending.get(user_id, EMPTY)

    def rows_of(self, user_id: str) -> list[Row]:
        """Return the rows of a user whose count is positive, the one added last at the end."""
        return [row for row, count in as_multiset(self._all_rows(user_id)).items() if count > 0]

    def largest_n_rows(self) -> tuple[int, str]:
        """Return the largest number of rows that one user has, and that user."""
        pending = ((1 + sum(count > 0 for count in self._pending[each].values()), each) for each in self._pending)
        return max(pending, default=(0, ""))

    # collect and settle

    def add_all(self, rows: Sequence[tuple[str, Row]], counts: Sequence[int]) -> None:
        """Add each row `count` times to its user; a negative count retracts."""
        unsettled, shown, pending = self._unsettled, self._shown, self._pending
        if not (shown or pending) and set(counts) == {1} and are_new_users(rows, unsettled):
            unsettled.update(rows)  # the first batches, all at once
            return
        for (user_id, row), count in zip(rows, counts, strict=True):
            known = unsettled.get(user_id)
            if known is None:
                known = self._all_rows(user_id) if user_id in pending else shown.get(user_id, ())
            if count == 1 and not known:
                before = shown.get(user_id)
                unsettled[user_id] = before if before == row else row  # one object: most rows of a rebuild are equal
            elif count == -1 and known == row:
                unsettled[user_id] = ()
            else:
                unsettled[user_id] = added(known, row, count)

    def replace(self, user_id: str, row: Row | None) -> None:
        """Make `row` the only row of a user; None removes all rows."""
        self._unsettled[user_id] = row or ()

    def load(self, labelled: LabelledUsers, *, confirmed: bool) -> None:
        """Fill an empty table with the content of the output.

        Not `confirmed`: the users are shown, but are rowless until the input has a row for them.
        """
        self.user_ids = labelled.user_ids
        self.labels = labelled.labels
        self.totals = self._as_array(labelled.rows)
        self._shown = dict(zip(labelled.user_ids, labelled.rows, strict=True))
        pending = {user_id: rows for user_id, rows in labelled.pending.items() if rows}
        if confirmed:
            self._pending = pending
            users = pending.keys() & self._shown.keys()
            self.rowless = {user_id for user_id in users if current_row(self._all_rows(user_id)) is None}
            for user_id in users - self.rowless:
                self._note_duplicates(user_id, EMPTY, as_multiset(self._all_rows(user_id)))
        else:
            self.rowless = labelled.unreadable
            self._unsettled = dict.fromkeys(self._shown, ())
            self._output_pending = pending
            self._output_deleted = pending.keys() - self._shown.keys()

    def settle(self) -> None:
        """Choose the current row of every user that changed, and show it."""
        is_first = not (self._shown or self._pending or self.rowless)
        if is_first and have_one_row(self._unsettled):  # all at once
            new = cast(dict[str, Row], self._unsettled)
            changed = dict[str, Row]()
        else:
            new, changed = self._choose_rows()
        self._unsettled = {}
        self.settled_since_end = True
        self._show(new, changed)

    def _choose_rows(self) -> tuple[dict[str, Row], dict[str, Row]]:
        """Choose the current row of every unsettled user; return those of new users, and those that changed."""
        shown = self._shown
        new: dict[str, Row] = {}
        changed: dict[str, Row] = {}
        for user_id, known in self._unsettled.items():
            before = shown.get(user_id)
            current = known or None if type(known) is tuple else current_row(known)
            if current is None:
                current = before
                if before is not None:
                    self.rowless.add(user_id)
            else:
                self.rowless.discard(user_id)
                if before is None:
                    new[user_id] = current
                elif current != before:
                    changed[user_id] = current
            if known is not current or user_id in self._pending:
                if user_id in self.duplicated or isinstance(known, dict):
                    self._note_duplicates(user_id, as_multiset(self._all_rows(user_id)), as_multiset(known))
                self._keep_pending(user_id, known, current)
        return new, changed

    def delete(self, user_ids: AbstractSet[str]) -> None:
        """Delete those of the users that are rowless. What is pending stays: unmatched retractions wait for a row."""
        deleted = self.rowless & user_ids
        for user_id in deleted:
            self._keep_pending(user_id, self._all_rows(user_id), None)
            self._shown.pop(user_id, None)
        self.rowless -= deleted
        self._changed |= deleted
        if deleted:
            kept = [user_id not in deleted for user_id in self.user_ids]
            self.user_ids = list(itertools.compress(self.user_ids, kept))
            self.totals = self.totals[kept]
            self.labels = self.labels[kept]

    # the order of several rows of one user

    def input_ended(self) -> None:
        """Note an end of the input: rows added from now on are newer than all rows there are."""
        self.settled_since_end = False

    def mark_unordered(self, user_ids: Iterable[str]) -> None:
        """Note that rows of these users were retracted and added again within a batch, which leaves no trace."""
        self.unordered.update(user_id for user_id in user_ids if len(self.rows_of(user_id)) > 1)

    def mark_all_ordered(self) -> None:
        """Note that the rows of every user are in the order in which they were added.

        Rows added from now on are newer, as after an end of the input, so this resets `settled_since_end`.
        """
        self.unordered.clear()
        self.settled_since_end = False

    def reorder(self, newest: Mapping[str, Iterable[Row]]) -> None:
        """Make these rows of users, in this order, the ones added last; settle. All users are ordered then."""
        for user_id, rows in newest.items():
            known = as_multiset(self._all_rows(user_id))
            known.update([(row, known.pop(row)) for row in rows])
            self._unsettled[user_id] = known
        self.mark_all_ordered()
        self.settle()

    # what the output does not have yet

    def relabel(self, labels: NDArray[np.int32]) -> UserChanges:
        """Take the labels of a fit, in the order of user_id; return what has changed since the last time."""
        self._compare_with_output()
        deleted = sorted(user_id for user_id in self._changed if user_id not in self._shown)
        pending_changed = sorted(user_id for user_id in self._changed if user_id in self._shown)
        changed = self.labels == NO_LABEL
        changed[self._indices_of(pending_changed)] = True
        relabelled = np.flatnonzero((labels != self.labels) & ~changed)
        self.labels = labels.copy()  # the caller keeps its own
        self._changed.clear()
        return UserChanges(self, np.concatenate((relabelled, np.flatnonzero(changed))), deleted, len(relabelled))

    def changes_at(self, indices: NDArray[np.intp]) -> Iterator[Change]:
        """Return the records to write for the users at these indices."""
        user_ids = list(map(self.user_ids.__getitem__, indices.tolist()))
        pending = map(self._pending.get, user_ids, itertools.repeat(EMPTY))
        return zip(user_ids, self._rows_at(indices, user_ids), self.labels[indices].tolist(), pending, strict=True)

    def _rows_at(self, indices: NDArray[np.intp], user_ids: Sequence[str]) -> Iterable[Row]:
        """Return the shown rows, from the array where it is exact: as objects, rows are spread over the memory."""
        columns = []
        for column, is_whole in zip(self.totals[indices].T, self.features.is_whole, strict=True):
            if is_whole and np.abs(column).max(initial=0) >= EXACT:
                return map(self._shown.__getitem__, user_ids)
            columns.append((column.astype(np.int64) if is_whole else column).tolist())
        return zip(*columns, strict=True)

    def _compare_with_output(self) -> None:
        """Make `_changed` the difference to an output that the input had to confirm."""
        for user_id, pending in self._output_pending.items():
            is_shown = user_id in self._shown
            was_shown = user_id not in self._output_deleted
            update_membership(self._changed, user_id, is_shown != was_shown or not self._is_pending(user_id, pending))
        self._output_pending = {}
        self._output_deleted = set()

    # one user

    def _all_rows(self, user_id: str) -> UserRows:
        """Return all settled rows of a user: the shown row once, and the pending ones."""
        shown = self._shown.get(user_id)
        pending = self._pending.get(user_id)
        if pending is None:
            return shown or ()
        return dict(pending) if shown is None else added(dict(pending), shown, 1)

    def _note_duplicates(self, user_id: str, before: Multiset, now: Multiset) -> None:
        """Note whether a user has several rows, and whether their order is known."""
        rows = [row for row, count in now.items() if count > 0]
        update_membership(self.duplicated, user_id, sum(now[row] for row in rows) > 1)
        new = [row for row in rows if now[row] > before.get(row, 0)]
        read_together = len(new) > 1 or bool(new and self.settled_since_end) or user_id in self.unordered
        update_membership(self.unordered, user_id, len(rows) > 1 and read_together)

    def _keep_pending(self, user_id: str, known: UserRows, shown: Row | None) -> None:
        """Make all rows but {shown: 1} the pending ones."""
        rows = as_multiset(known)
        if shown is not None:
            count = rows.pop(shown, 0) - 1
            if count:
                rows[shown] = count
        if self._is_pending(user_id, rows):
            return
        self._changed.add(user_id)
        if rows:
            self._pending[user_id] = rows
        else:
            del self._pending[user_id]

    def _is_pending(self, user_id: str, rows: Multiset) -> bool:
        """Return whether these are the pending rows of a user, in this order."""
        return list(rows.items()) == list(self._pending.get(user_id, EMPTY).items())

    # all users, in the order of user_id

    def _show(self, new: dict[str, Row], changed: Mapping[str, Row]) -> None:
        """Show the rows of new users, and other rows of users that are there."""
        if self._shown:
            self._shown.update(new)
        else:
            self._shown = new
        self._shown.update(changed)
        if new:
            self._insert(new)
        if changed:
            user_ids = sorted(changed)
            indices = self._indices_of(user_ids)
            self.totals[indices] = self._as_array(map(changed.__getitem__, user_ids))
            self.labels[indices] = NO_LABEL

    def _insert(self, new: Mapping[str, Row]) -> None:
        """Insert new users into the columns, in the order of user_id."""
        user_ids, order = in_order(list(new))
        totals = self._as_array(new.values())[order]
        if not self.user_ids:
            self.user_ids = user_ids
            self.totals = totals
            self.labels = np.full(len(user_ids), NO_LABEL, np.int32)
            return
        indices = self._indices_of(user_ids)
        self.totals = np.insert(self.totals, indices, totals, 0)
        self.labels = np.insert(self.labels, indices, NO_LABEL)
        self.user_ids = sorted(self.user_ids + user_ids)  # two sorted runs, which Python merges

    def _as_array(self, rows: Iterable[Row]) -> NDArray[np.float64]:
        """Return rows as an array of shape (n_rows, n_features)."""
        return np.fromiter(itertools.chain.from_iterable(rows), np.float64).reshape(-1, len(self.features))

    def _indices_of(self, user_ids: Iterable[str]) -> list[int]:
        """Return the index of each user, or the one it would have; `user_ids` ascend."""
        index = 0
        return [index := bisect.bisect_left(self.user_ids, user_id, index) for user_id in user_ids]


def in_order(user_ids: Sequence[str]) -> tuple[list[str], NDArray[np.intp]]:
    """Return users in order, and the index that each had; equal ones stay in the order they have.

    The indices order other columns: looking ten million users up in a dict takes longer.
    """
    indices = sorted(range(len(user_ids)), key=user_ids.__getitem__)
    return list(map(user_ids.__getitem__, indices)), np.array(indices, np.intp)


def are_new_users(rows: Sequence[tuple[str, Row]], unsettled: Mapping[str, UserRows]) -> bool:
    """Return whether these are rows of as many users, none of them in `unsettled`."""
    user_ids = {user_id for user_id, _ in rows}
    return len(user_ids) == len(rows) and unsettled.keys().isdisjoint(user_ids)


def have_one_row(unsettled: Mapping[str, UserRows]) -> bool:
    """Return whether each of these users has one row, once."""
    return all(unsettled.values()) and set(map(type, unsettled.values())) <= {tuple}


def update_membership(users: set[str], user_id: str, belongs: bool) -> None:
    """Add or remove the user."""
    if belongs:
        users.add(user_id)
    else:
        users.discard(user_id)
