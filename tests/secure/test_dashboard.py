"""The page reads with the right to read the output alone, and says when that is missing."""

from collections.abc import Callable

from dashboard.options import parsed
from dashboard.reader import Reader
from tests.secure.conftest import USER, Secured, SecuredPipeline
from tests.secure.rights import AccessControl, Right
from tests.support.topics import Outgoing
from tests.support.waiting import wait_until
from tests.support.wire import LABELING_SCHEMA, body, frame


def test_the_right_to_read_the_output_is_enough(make_secured: Callable[[], SecuredPipeline], secured: Secured) -> None:
    pipeline, access = make_secured(), AccessControl(secured.services.topics.bootstrap_servers, USER)
    schema_id = pipeline.subjects.register(f"{pipeline.output}-value", LABELING_SCHEMA)
    row = {"user_id": "ann", "total_amount": 1.0, "num_transactions": 1, "label": 0}
    pipeline.topics.write(pipeline.output, [Outgoing(0, frame(schema_id, body(LABELING_SCHEMA, row)), [], b"ann")])
    access.grant([Right("READ", "TOPIC", pipeline.source)])
    settings, _ = parsed([str(pipeline.file), "-o", pipeline.output])
    reader = Reader(settings).start()
    try:
        wait_until(lambda: "not allowed to" in reader.trouble, "the page to say what right is missing")
        assert reader.trouble.startswith(f"not allowed to read topic {pipeline.output} (")
        assert reader.trouble.endswith("; grant this right, see docs/configuration.md, Rights")
        access.grant([Right("READ", "TOPIC", pipeline.output)])
        wait_until(lambda: reader.latest, "the label")
        wait_until(lambda: not reader.trouble, "all to be well")
        assert reader.latest
        assert reader.latest.sizes() == [1]
    finally:
        reader.close()
