"""The steps of a record through the client, from consume to commit, each with the function that takes it."""

from dataclasses import dataclass

SCRIPT = "user_classifier"


@dataclass(frozen=True)
class Step:
    """One step: its name, and the function, or Class.method, of a module."""

    name: str
    module: str
    function: str


STEPS = (
    Step("consume", "classifier.kafka.source", "Source.read"),
    Step("net", "classifier.users.changelog", "Batch.take"),
    Step("decode", "classifier.serialization.avro", "AvroReader.all_fields"),
    Step("validate rows", "classifier.row", "parse_rows"),
    Step("settle", "classifier.users.table", "UserTable.settle"),
    Step("encode user_id", SCRIPT, "one_hot_totals"),
    Step("fit", SCRIPT, "k_means"),
    Step("order labels", SCRIPT, "in_label_order"),
    Step("changed labels", "classifier.users.table", "UserTable.relabel"),
    Step("encode records", "classifier.users.output", "label_records"),
    Step("produce, commit", "classifier.kafka.sink", "Sink.write"),
)
"""Update this list when one of these functions is renamed or moved, and draw the picture again."""
