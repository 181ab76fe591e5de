"""Deletions: a user without a row is due at the second confirmed end in a row, asked for after the retraction."""

from classifier.users.deletions import Deletions


def end(deletions: Deletions, rowless: set[str], *, last: bool = False) -> set[str]:
    """Settle, have the leaders confirm an end, and return the users that are deleted."""
    deletions.settled(rowless)
    deletions.end_requested(rowless)
    due = set(deletions.due(rowless, last=last))
    deletions.end_confirmed(rowless - due)
    return due


def test_a_user_is_deleted_at_the_second_end() -> None:
    deletions = Deletions()
    assert end(deletions, {"ann"}) == set()
    assert end(deletions, {"ann", "bob"}) == {"ann"}
    assert end(deletions, {"bob"}) == {"bob"}
    assert end(deletions, set()) == set()


def test_at_the_last_end_one_is_enough() -> None:
    assert end(Deletions(), {"ann"}, last=True) == {"ann"}


def test_a_user_with_a_row_in_between_needs_two_ends_again() -> None:
    deletions = Deletions()
    end(deletions, {"ann"})
    deletions.settled(set())
    assert end(deletions, {"ann"}) == set()
    assert end(deletions, {"ann"}) == {"ann"}


def test_a_retraction_that_was_read_after_the_request_does_not_count() -> None:
    """The row may have moved to a partition whose leader answered before it was written."""
    deletions = Deletions()
    deletions.end_requested({"ann"})
    deletions.settled({"ann", "bob"})
    assert deletions.due({"ann", "bob"}, last=True) == {"ann"}
    deletions.end_confirmed({"ann", "bob"})
    assert end(deletions, {"ann", "bob"}) == {"ann"}
    assert end(deletions, {"bob"}) == {"bob"}


def test_more_deletions_than_a_transaction_takes_are_due_at_the_next_end() -> None:
    deletions = Deletions()
    end(deletions, {"ann", "bob"})
    assert end(deletions, {"ann", "bob"}) == {"ann", "bob"}
    deletions.end_confirmed({"bob"})  # only ann was deleted
    assert end(deletions, {"bob"}) == {"bob"}


def test_a_rebuild_deletes_unconfirmed_users_at_the_first_end() -> None:
    deletions = Deletions(rebuild=True)
    deletions.settled({"ann", "bob"})
    deletions.settled({"ann"})  # bob has a row
    assert end(deletions, {"ann", "bob"}) == {"ann"}


def test_the_two_ends_are_some_time_apart() -> None:
    """The old leader of a partition may answer twice before it knows that there is a new one."""
    now = iter([100.0, 100.4, 100.9, 101.0, 101.5, 102.0])
    deletions = Deletions(ends_apart=1.0, clock=now.__next__)
    assert [end(deletions, {"ann"}) for _ in range(3)] == [set()] * 3
    assert end(deletions, {"ann", "bob"}) == {"ann"}
    assert [end(deletions, {"bob"}) for _ in range(2)] == [set(), {"bob"}]


def test_a_row_between_two_ends_that_are_not_far_enough_apart_counts() -> None:
    now = iter([100.0, 100.5, 101.0, 102.0])
    deletions = Deletions(ends_apart=1.0, clock=now.__next__)
    end(deletions, {"ann"})
    end(deletions, set())
    assert end(deletions, {"ann"}) == set()
    assert end(deletions, {"ann"}) == {"ann"}
