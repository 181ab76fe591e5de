"""Proofs that --changelog-mode is not the mode of the input. Each raises a StateError that names the right one."""

from classifier.errors import StateError
from classifier.formatting import abbreviated
from classifier.users.changelog import Batch, retraction_found
from classifier.users.table import UserTable


def check_no_retraction(batch: Batch, rebuild_option: str) -> None:
    """Refuse a record that retracts a row, in another mode than retract."""
    if batch.retraction is not None:
        found = retraction_found(batch.retraction)
        raise StateError(f"{found}: run with --changelog-mode retract{rebuild_option}")


def check_retractions(batch: Batch, table: UserTable, topic: str, rebuild_option: str) -> None:
    """Refuse a changelog that never retracts, in mode retract: its old rows would pile up as pending."""
    if batch.changelog_mode != "retract" or batch.ops_seen:
        return
    n_rows, user_id = table.largest_n_rows()
    if n_rows > 1:
        mode = "upsert" if batch.keys_seen else "append"
        raise StateError(
            f"{topic}: user_id {abbreviated(user_id)} has {n_rows} rows and no record has an op header, so nothing ever"
            f" retracts one; this is not a retract changelog: run with --changelog-mode {mode}{rebuild_option}"
        )
