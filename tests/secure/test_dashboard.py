"""The dashboard needs only permission to read the output, and reports when it is missing."""

from collections.abc import Callable

import pytest

from dashboard.options import parsed
from dashboard.reader import Reader
from tests.secure.conftest import USER, Secured, SecuredPipeline
from tests.secure.permissions import AccessControl, Permission
from tests.secure.test_secrets import forms
from tests.support import configuration
from tests.support.topics import Outgoing
from tests.support.waiting import wait_until
from tests.support.wire import LABELING_SCHEMA, body, frame


def test_permission_to_read_the_output_is_enough(make_secured: Callable[[], SecuredPipeline], secured: Secured) -> None:
    pipeline = make_secured()
    access = AccessControl(secured.services.topics.bootstrap_servers, USER)
    schema_id = pipeline.subjects.register(f"{pipeline.output}-value", LABELING_SCHEMA)
    row = {"user_id": "ann", "total_amount": 1.0, "num_transactions": 1, "label": 0}
    pipeline.topics.write(pipeline.output, [Outgoing(0, frame(schema_id, body(LABELING_SCHEMA, row)), [], b"ann")])
    access.grant([Permission("READ", "TOPIC", pipeline.source)])
    settings, _ = parsed([str(pipeline.file), "-o", pipeline.output])
    reader = Reader(settings).start()
    try:
        wait_until(lambda: "not allowed to" in reader.problem, "the message about the missing permission")
        assert reader.problem.startswith(f"not allowed to read topic {pipeline.output} (")
        assert reader.problem.endswith("; grant this permission, see docs/configuration.md, Permissions")
        access.grant([Permission("READ", "TOPIC", pipeline.output)])
        wait_until(lambda: reader.latest, "the label")
        wait_until(lambda: not reader.problem, "the message to disappear")
        assert reader.latest
        assert reader.latest.sizes() == [1]
    finally:
        reader.close()


@pytest.mark.parametrize("wrong", ["broker", "registry"])
def test_messages_contain_no_secrets(
    make_secured: Callable[[], SecuredPipeline], secured: Secured, capfd: pytest.CaptureFixture[str], wrong: str
) -> None:
    """With every debug option on; the terminal included."""
    pipeline = make_secured()
    AccessControl(secured.services.topics.bootstrap_servers, USER).grant([Permission("READ", "TOPIC", pipeline.output)])
    pipeline.sections["consumer"]["debug"] = "all"
    if wrong == "broker":
        pipeline.sections["consumer"]["sasl.username"] = "nobody"
    else:
        pipeline.sections["schema_registry"]["url"] = f"https://{secured.secrets.token}@127.0.0.1:1"
        del pipeline.sections["schema_registry"]["basic.auth.user.info"]
    configuration.write(pipeline.file, pipeline.sections)
    settings, _ = parsed([str(pipeline.file), "-o", pipeline.output, "--log-level", "DEBUG"])
    reader = Reader(settings).start()
    beginning = "Kafka " if wrong == "broker" else "Schema Registry https://"
    try:
        wait_until(lambda: reader.problem.startswith(beginning), f"the message, not {reader.problem}")
        problem = reader.problem
    finally:
        reader.close()
    written = capfd.readouterr()
    for form in forms(secured):
        assert form not in problem + written.out + written.err
