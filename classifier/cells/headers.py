"""Headers of the record of cell 0 in the output: what a restart has to know and no label shows.

Every output has cell 0, as the cell of the smallest totals is always labelled.
"""

from classifier.clustering.number_of_clusters import Chosen
from classifier.errors import StateError
from classifier.formatting import format_count
from classifier.kafka.record import Headers

CHOICE_HEADER = "chosen"  # what -k auto has chosen
PARTITIONS_HEADER = "partitions"  # how many the output had, which decides where the records of a cell are


def output_headers(choice: Chosen | None, n_partitions: int) -> Headers:
    """Return the headers for the record of cell 0."""
    headers: list[tuple[str, bytes]] = [(PARTITIONS_HEADER, str(n_partitions).encode())]
    if choice:
        headers.append((CHOICE_HEADER, f"{choice.n_clusters} {choice.scale}".encode()))
    return headers


def choice_in(headers: Headers) -> Chosen | None:
    """Return what -k auto has chosen; None where no header has it."""
    number, _, scale = header(headers, CHOICE_HEADER).partition(b" ")
    return Chosen(int(number), scale.decode(errors="replace")) if number.isdigit() else None


def partitions_in(headers: Headers) -> int | None:
    """Return how many partitions the output had; None where no header has it, as in those of earlier versions."""
    number = header(headers, PARTITIONS_HEADER)
    return int(number) if number.isdigit() else None


def header(headers: Headers, wanted: str) -> bytes:
    """Return the value of a header, empty where there is none."""
    return next((bytes(value or b"") for name, value in headers or () if name == wanted), b"")


def layout_problem(output: str, n_before: int | None, n_partitions: int) -> str:
    """Return why labels in an output that was given partitions cannot be continued; empty where they can."""
    if n_before in (None, n_partitions):
        return ""
    return (
        f"{output} had {format_count(n_before, 'partition')} when its labels were written, and has {n_partitions} now,"
        " so the old and the new label of a cell may lie in two; choose another output with -o, or recreate the topic"
    )


def check_layout(output: str, n_before: int | None, n_partitions: int) -> None:
    """Raise StateError where the output was given partitions since its labels were written."""
    problem = layout_problem(output, n_before, n_partitions)
    if problem:
        raise StateError(problem)
