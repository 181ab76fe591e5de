"""The users of a label as CSV, as --export writes them: no user_id becomes a formula in a spreadsheet."""

import io
from collections.abc import Sequence

import numpy as np

from classifier.commands.export import LABEL_NAME, ROW_GROUP_SIZE, Blocks, write_csv
from classifier.label_names import label_name
from classifier.row import LABEL_FIELDS
from dashboard.table import Snapshot


def csv_of(snapshot: Snapshot, label: int | None, names: Sequence[str] = ()) -> bytes:
    """Return the users of one label, or of all, in the order of user_id."""
    file = io.BytesIO()
    write_csv(file, [*LABEL_FIELDS, *([LABEL_NAME] if names else [])], blocks(snapshot, label, names))
    return file.getvalue()


def blocks(snapshot: Snapshot, label: int | None, names: Sequence[str]) -> Blocks:
    """Yield many users at once, by column."""
    places = snapshot.there if label is None else np.flatnonzero(snapshot.labels == label)
    ordered = np.array(sorted(places.tolist(), key=snapshot.user_ids.__getitem__), np.intp)
    for start in range(0, len(ordered), ROW_GROUP_SIZE):
        at = ordered[start : start + ROW_GROUP_SIZE]
        labels = snapshot.labels[at].tolist()
        user_ids = [snapshot.user_ids[place] for place in at.tolist()]
        columns = [user_ids, snapshot.amounts[at].tolist(), snapshot.counts[at].tolist(), labels]
        yield [*columns, *([[own_name(each, names) for each in labels]] if names else [])]


def own_name(label: int, names: Sequence[str]) -> str:
    """Return the name of a label without its number, or the number where it has none."""
    return names[label] if label < len(names) else label_name(label)
