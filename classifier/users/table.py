"""One row per user, whatever the order in which rows are added and retracted."""

import bisect
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from classifier.row import Row
from classifier.users.multiset import NOTHING, Known, Multiset, added, as_multiset, current_row

BLOCK = 1_000  # changes made at once
EXACT = 2.0**53  # below it a double holds every whole number
# What `user_labeling` has to be told: user_id, row (None: the user is gone), label, what is known beside {row: 1}.
Change = tuple[str, Row | None, int, Multiset]


@dataclass
class LabelledUsers:
    """What `user_labeling` says, by column: as objects, a million users would take three times the memory."""

    user_ids: list[str]  # of users who are not gone, in their order
    rows: list[Row]
    labels: NDArray[np.int32]
    pending: dict[str, Multiset]  # of users who are gone, or once were or had something pending; it may be empty


@dataclass
class UserChanges:
    """What a fit changes, by the place of users in the table; it holds until the table is touched again."""

    table: "UserTable"
    places: NDArray[np.intp]
    deleted: list[str]  # users who have no place any more
    n_relabelled: int  # so many of them, the first ones, differ from what was said by their label alone

    def __len__(self) -> int:
        return len(self.places) + len(self.deleted)

    def __iter__(self) -> Iterator[Change]:
        for start in range(0, len(self.places), BLOCK):
            yield from self.table.changes_at(self.places[start : start + BLOCK])
        for user_id in self.deleted:
            yield user_id, None, NO_LABEL, self.table.pending(user_id)


class UserTable:
    """One row per user, whatever the order in which its parts arrive.

    Each user is a signed multiset of rows. A retraction may come before its row; then the count is
    negative for a while. The current row is the one added last whose count is positive. A user without
    one keeps the last current row until dropped.

    A changelog that comes twice leaves users with several rows. Which of these was added last is told by the ends of
    the input (`input_ended`): what is added after one is newer than what was there. Where two came between two ends,
    they lie as they were read, and the user is `unordered` until `reorder`.

    `add_all` and `replace` collect; `settle` decides which row is shown; `delete` takes out who has none, when `intake`
    says so; `relabel` tells what to write. The shown rows lie in the order of user_id, so that labels depend on the
    table alone.
    """

    def __init__(self) -> None:
        self.user_ids: list[str] = []
        self.totals: NDArray[np.float64] = np.empty((0, 2))  # the shown rows, as KMeans takes them
        self.labels: NDArray[np.int32] = np.empty(0, np.int32)  # as last told; NO_LABEL where the row is news
        self.rowless: set[str] = set()  # users shown without having a current row
        self.duplicated: set[str] = set()  # users with more than one row, or with one that lies twice
        self.unordered: set[str] = set()  # those of them whose rows lie as they were read
        self.settled_since_end = True  # whether batches were settled since the last end
        self._rows: dict[str, Row] = {}  # shown, by user
        self._pending: dict[str, Multiset] = {}  # what is known of a user beside {shown row: 1}
        self._touched: dict[str, Known] = {}  # all that is known of users since `settle`
        self._changed: set[str] = set()  # since `relabel`: users gone, and users whose pending rows changed
        self._said: dict[str, Multiset] = {}  # what `user_labeling` says is pending, where that was not taken over
        self._said_gone: AbstractSet[str] = set()  # those of them of whom it says that they have no row

    def __len__(self) -> int:
        return len(self.user_ids)

    @property
    def rows(self) -> list[Row]:
        """The shown rows, in the order of user_id."""
        return [self._rows[user_id] for user_id in self.user_ids]

    @property
    def n_unmatched(self) -> int:
        """Number of users known by retractions alone."""
        return sum(user_id not in self._rows for user_id in self._pending)

    def row(self, user_id: str) -> Row | None:
        """Return the row that is shown for a user."""
        return self._rows.get(user_id)

    def add_all(self, rows: Sequence[tuple[str, Row]], counts: Sequence[int]) -> None:
        """Add rows of users as often as `counts` says; a negative count retracts."""
        touched, shown, pending = self._touched, self._rows, self._pending
        if not (shown or pending) and set(counts) == {1} and is_news(rows, touched):  # the first ones: many at once
            touched.update(rows)
            return
        for (user_id, row), count in zip(rows, counts, strict=True):
            known = touched.get(user_id)
            if known is None:
                known = self._known(user_id) if user_id in pending else shown.get(user_id, ())
            if count == 1 and not known:
                before = shown.get(user_id)
                touched[user_id] = before if before == row else row  # one object: a rebuild is made of such
            elif count == -1 and known == row:
                touched[user_id] = ()
            else:
                touched[user_id] = added(known, row, count)

    def replace(self, user_id: str, row: Row | None) -> None:
        """Make `row` all that is known of a user."""
        self._touched[user_id] = row or ()

    def load(self, said: LabelledUsers, *, confirmed: bool) -> None:
        """Fill an empty table with what `user_labeling` says.

        Not `confirmed`: the users are shown, but have no current row until the input tells one.
        """
        self.user_ids, self.labels, self.totals = said.user_ids, said.labels, as_array(said.rows)
        self._rows = dict(zip(said.user_ids, said.rows, strict=True))
        pending = {user_id: pending for user_id, pending in said.pending.items() if pending}
        if confirmed:
            self._pending = pending
            users = pending.keys() & self._rows.keys()
            self.rowless = {user_id for user_id in users if current_row(self._known(user_id)) is None}
            for user_id in users - self.rowless:
                self._count_rows(user_id, NOTHING, as_multiset(self._known(user_id)))
        else:
            self._touched, self._said = dict.fromkeys(self._rows, ()), pending
            self._said_gone = pending.keys() - self._rows.keys()

    def settle(self) -> None:
        """Choose the current row of every user touched."""
        if not (self._rows or self._pending) and only_rows(self._touched):  # the first ones: many at once
            new, changed = cast(dict[str, Row], self._touched), dict[str, Row]()
        else:
            new, changed = self._choose_rows()
        self._touched, self.settled_since_end = {}, True
        self._show(new, changed)

    def _choose_rows(self) -> tuple[dict[str, Row], dict[str, Row]]:
        """Choose the current row of every user touched; return those of new users, and those that changed."""
        shown, new = self._rows, dict[str, Row]()
        changed: dict[str, Row] = {}
        for user_id, known in self._touched.items():
            before, current = shown.get(user_id), known or None if type(known) is tuple else current_row(known)
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
                    self._count_rows(user_id, as_multiset(self._known(user_id)), as_multiset(known))
                self._keep(user_id, known, current)
        return new, changed

    def input_ended(self) -> None:
        """Take it that all has been read: whatever is added from now on is newer than the rows that are there."""
        self.settled_since_end = False

    def rows_of(self, user_id: str) -> list[Row]:
        """Return the rows that a user has, the one added last at the end."""
        return [row for row, count in as_multiset(self._known(user_id)).items() if count > 0]

    def reorder(self, newest: Mapping[str, Iterable[Row]]) -> None:
        """Let these rows of users, in this order, be the ones added last; settle, and be sure of everybody's rows."""
        for user_id, rows in newest.items():
            known = as_multiset(self._known(user_id))
            known.update([(row, known.pop(row)) for row in rows])
            self._touched[user_id] = known
        self.mark_all_ordered()
        self.settle()

    def mark_unordered(self, user_ids: Iterable[str]) -> None:
        """Take it that rows of these users were added again, unseen."""
        self.unordered.update(user_id for user_id in user_ids if len(self.rows_of(user_id)) > 1)

    def mark_all_ordered(self) -> None:
        """Take it that the rows of every user lie in the order in which they were added."""
        self.unordered.clear()
        self.settled_since_end = False

    def delete(self, user_ids: AbstractSet[str]) -> None:
        """Show those of the users no more who have no current row."""
        gone = self.rowless & user_ids
        for user_id in gone:
            self._keep(user_id, self._known(user_id), None)
            del self._rows[user_id]
        self.rowless -= gone
        self._changed |= gone
        if gone:
            kept = [user_id not in gone for user_id in self.user_ids]
            self.user_ids = list(itertools.compress(self.user_ids, kept))
            self.totals, self.labels = self.totals[kept], self.labels[kept]

    def most_rows(self) -> tuple[int, str]:
        """Return the largest number of rows that one user has at once, and that user."""
        pending = ((1 + sum(count > 0 for count in self._pending[each].values()), each) for each in self._pending)
        return max(pending, default=(0, ""))

    def relabel(self, labels: NDArray[np.int32]) -> UserChanges:
        """Take the labels of a fit, in the order of user_id; return what changed since the last time."""
        self._compare_with_said()
        gone = sorted(user_id for user_id in self._changed if user_id not in self._rows)
        news = self.labels == NO_LABEL
        news[self._places(sorted(user_id for user_id in self._changed if user_id in self._rows))] = True
        relabelled = np.flatnonzero((labels != self.labels) & ~news)
        self.labels = labels.copy()  # those of the caller stay as they are
        self._changed.clear()
        return UserChanges(self, np.concatenate((relabelled, np.flatnonzero(news))), gone, len(relabelled))

    def changes_at(self, places: NDArray[np.intp]) -> Iterator[Change]:
        """Return what is to be told of the users at these places."""
        user_ids = list(map(self.user_ids.__getitem__, places.tolist()))
        pending = map(self._pending.get, user_ids, itertools.repeat(NOTHING))
        return zip(user_ids, self._rows_at(places, user_ids), self.labels[places].tolist(), pending, strict=True)

    def pending(self, user_id: str) -> Multiset:
        """Return what is known of a user beside {shown row: 1}."""
        return self._pending.get(user_id, NOTHING)

    def _rows_at(self, places: NDArray[np.intp], user_ids: Sequence[str]) -> Iterable[Row]:
        """Return the shown rows, out of the array if it holds them exactly: a million rows lie all over the memory."""
        amounts, counts = self.totals[places].T
        if counts.max(initial=0) >= EXACT:
            return map(self._rows.__getitem__, user_ids)
        return zip(amounts.tolist(), counts.astype(np.int64).tolist(), strict=True)

    def _compare_with_said(self) -> None:
        """Take out of the changes what `user_labeling` says already, and add what it says and is not so."""
        for user_id, said in self._said.items():
            same = (user_id in self._rows) != (user_id in self._said_gone) and self._is_pending(user_id, said)
            note(self._changed, user_id, not same)
        self._said, self._said_gone = {}, set()

    def _known(self, user_id: str) -> Known:
        """Return all that is known of a user: the shown row once, and what is pending."""
        shown, pending = self._rows.get(user_id), self._pending.get(user_id)
        if pending is None:
            return shown or ()
        return dict(pending) if shown is None else added(dict(pending), shown, 1)

    def _count_rows(self, user_id: str, before: Multiset, known: Multiset) -> None:
        """Note whether a user has several rows, and whether their order is that of reading."""
        rows = [row for row, count in known.items() if count > 0]
        note(self.duplicated, user_id, sum(known[row] for row in rows) > 1)
        news = [row for row in rows if known[row] > before.get(row, 0)]
        read_together = len(news) > 1 or bool(news and self.settled_since_end) or user_id in self.unordered
        note(self.unordered, user_id, len(rows) > 1 and read_together)

    def _keep(self, user_id: str, known: Known, shown: Row | None) -> None:
        """Keep as pending what is known beside {shown: 1}."""
        rows = as_multiset(known)
        if shown is not None and (count := rows.pop(shown, 0) - 1):
            rows[shown] = count
        if self._is_pending(user_id, rows):
            return
        self._changed.add(user_id)
        if rows:
            self._pending[user_id] = rows
        else:
            del self._pending[user_id]

    def _is_pending(self, user_id: str, rows: Multiset) -> bool:
        """Return whether just this is pending of a user; the order counts."""
        return list(rows.items()) == list(self._pending.get(user_id, NOTHING).items())

    def _show(self, new: dict[str, Row], changed: Mapping[str, Row]) -> None:
        """Show rows, making room for new users."""
        if self._rows:
            self._rows.update(new)
        else:
            self._rows = new
        self._rows.update(changed)
        if new:
            user_ids, order = in_order(list(new))
            totals = as_array(new.values())[order]
            if self.user_ids:
                at = self._places(user_ids)
                self.totals, self.labels = np.insert(self.totals, at, totals, 0), np.insert(self.labels, at, NO_LABEL)
            else:
                self.totals, self.labels = totals, np.full(len(user_ids), NO_LABEL, np.int32)
            # Two sorted runs, which Python's sort makes use of.
            self.user_ids = sorted(self.user_ids + user_ids) if self.user_ids else user_ids
        if changed:
            user_ids = sorted(changed)
            at = self._places(user_ids)
            self.totals[at] = as_array(map(changed.__getitem__, user_ids))
            self.labels[at] = NO_LABEL

    def _places(self, user_ids: Iterable[str]) -> list[int]:
        """Return where users are, or would be, in the order of user_id; they come in this order, too."""
        place = 0
        return [place := bisect.bisect_left(self.user_ids, user_id, place) for user_id in user_ids]


def as_array(rows: Iterable[Row]) -> NDArray[np.float64]:
    """Return rows as an array of shape (n_rows, 2)."""
    return np.fromiter(itertools.chain.from_iterable(rows), np.float64).reshape(-1, 2)


def in_order(user_ids: Sequence[str]) -> tuple[list[str], NDArray[np.intp]]:
    """Return users in their order, and the places they had; of one who is there twice the earlier place comes first.

    By places, columns are put in order: looking ten million users up in a dict takes longer.
    """
    places = sorted(range(len(user_ids)), key=user_ids.__getitem__)
    return list(map(user_ids.__getitem__, places)), np.array(places, np.intp)


def is_news(rows: Sequence[tuple[str, Row]], touched: Mapping[str, Known]) -> bool:
    """Return whether these are rows of as many users of whom nothing is known."""
    user_ids = {user_id for user_id, _ in rows}
    return len(user_ids) == len(rows) and touched.keys().isdisjoint(user_ids)


def only_rows(touched: Mapping[str, Known]) -> bool:
    """Return whether one row is all that is known of each of these users."""
    return all(touched.values()) and set(map(type, touched.values())) <= {tuple}


def note(users: set[str], user_id: str, belongs: bool) -> None:
    """Have a user in a set, or not."""
    if belongs:
        users.add(user_id)
    else:
        users.discard(user_id)


NO_LABEL = -1  # a row not labelled yet
