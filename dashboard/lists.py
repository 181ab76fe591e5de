"""The users of a label as CSV, as --export writes them: no user_id becomes a formula in a spreadsheet."""

import io
from collections.abc import Sequence

import numpy as np

from classifier.commands.export import ROW_GROUP_SIZE, Blocks, columns_of, write_csv
from classifier.label_names import label_name
from dashboard.table import Snapshot


def csv_of(snapshot: Snapshot, label: int | None, names: Sequence[str] = ()) -> bytes:
    """Return the users of one label, or of all, in the order of user_id."""
    file = io.BytesIO()
    write_csv(file, columns_of(snapshot.features, names), blocks(snapshot, label, names))
    return file.getvalue()


def blocks(snapshot: Snapshot, label: int | None, names: Sequence[str]) -> Blocks:
    """Yield the columns of ROW_GROUP_SIZE users at a time."""
    indices = snapshot.present if label is None else np.flatnonzero(snapshot.labels == label)
    ordered = np.array(sorted(indices.tolist(), key=snapshot.user_ids.__getitem__), np.intp)
    for start in range(0, len(ordered), ROW_GROUP_SIZE):
        block = ordered[start : start + ROW_GROUP_SIZE]
        labels = snapshot.labels[block].tolist()
        user_ids = [snapshot.user_ids[index] for index in block.tolist()]
        columns = [user_ids, *(column[block].tolist() for column in snapshot.values), labels]
        if names:
            columns.append([name_or_number(each, names) for each in labels])
        yield columns


def name_or_number(label: int, names: Sequence[str]) -> str:
    """Return the name of a label, or its number if it has none."""
    return names[label] if label < len(names) else label_name(label)
