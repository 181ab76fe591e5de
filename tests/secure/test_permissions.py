"""Permissions (ACLs): those that docs/configuration.md lists are enough, and a missing one is named."""

from collections.abc import Callable

import pytest

from tests.secure.conftest import USER, Secured, SecuredPipeline
from tests.secure.permissions import AccessControl, Permission, needed
from tests.support import inside
from tests.support.cell_topics import Cells
from tests.support.changelog import Change, Op, Placed, Row
from tests.support.client import Client, Finished
from tests.support.topics import Outgoing
from tests.support.waiting import wait_until

MakeSecured = Callable[[], SecuredPipeline]
ROWS = [Row("ann", 1.0, 1), Row("bob", 2.0, 1), Row("cem", 3.0, 2)]
PREFIX = "user_classifier.py: error: "


@pytest.fixture
def pipeline(make_secured: MakeSecured) -> SecuredPipeline:
    """A pipeline with three rows and one record that cannot be read."""
    made = make_secured()
    made.topics.create(target(made))
    records = made.outgoing([Placed(0, Change(Op.INSERT, row)) for row in ROWS])
    made.topics.write(made.source, [*records, Outgoing(0, b"{}", [])])
    return made


@pytest.fixture
def access(secured: Secured) -> AccessControl:
    """The ACLs of the broker."""
    return AccessControl(secured.services.topics.bootstrap_servers, USER)


def target(pipeline: SecuredPipeline) -> str:
    """The topic for records that cannot be read."""
    return f"{pipeline.source}_errors"


def run(pipeline: SecuredPipeline) -> Finished:
    """Run the client to the end, in mode log."""
    mode = ("--error-handling-mode", "log", "--error-handling-log-target", target(pipeline))
    return inside.run(pipeline.arguments("--until-end", *mode))


def test_the_listed_permissions_are_enough(pipeline: SecuredPipeline, access: AccessControl) -> None:
    access.grant(needed(pipeline, target(pipeline)))
    finished = run(pipeline)
    assert finished.code == 0, finished.output
    # A new broker acknowledges its first commit before it can be read.
    wait_until(lambda: set(pipeline.labelling()) == {"ann", "bob", "cem"}, "the labels")
    wait_until(lambda: len(pipeline.topics.read(target(pipeline))) == 1, "the dead letter")
    again = run(pipeline)
    assert again.code == 0, again.output


@pytest.mark.parametrize("missing", range(6))
def test_a_missing_permission_is_named(missing: int, pipeline: SecuredPipeline, access: AccessControl) -> None:
    permissions = needed(pipeline, target(pipeline))
    lost = permissions.pop(missing)
    access.grant(permissions)
    finished = run(pipeline)
    assert finished.code == 1
    message = finished.stderr.split(PREFIX)[1]
    assert message.startswith("not allowed to ")
    assert named(lost) in names_of(message)
    assert message.endswith("; grant this permission, see docs/configuration.md, Permissions\n")
    access.grant([*permissions, lost])
    assert run(pipeline).code == 0


def names_of(message: str) -> set[str]:
    """The permissions in a message: of several topics in one write, the broker does not name the one."""
    doing = message.removeprefix("not allowed to ").split(" (")[0]
    verb, resource, names = doing.split(" ", 2)
    return {f"{verb} {resource} {name}" for name in names.split(" or ")}


def named(permission: Permission) -> str:
    """How the client names a permission."""
    resource = {"TOPIC": "topic", "GROUP": "group", "TRANSACTIONAL_ID": "transactional.id"}[permission.resource]
    return f"{permission.operation.lower()} {resource} {permission.name}"


def test_a_permission_revoked_during_a_run(pipeline: SecuredPipeline, access: AccessControl) -> None:
    access.grant(needed(pipeline, target(pipeline)))
    mode = ("--error-handling-mode", "ignore", "--batch-interval", "0")
    with Client(pipeline.arguments(*mode), pipeline.directory / "client.log") as client:
        wait_until(lambda: len(pipeline.topics.read(pipeline.output)) == len(ROWS), "the first labels")
        access.revoke(Permission("WRITE", "TOPIC", pipeline.output))
        pipeline.write([Placed(0, Change(Op.INSERT, Row("dea", 9.0, 1)))])
        assert client.wait() == 1
        assert named(Permission("WRITE", "TOPIC", pipeline.output)) in names_of(client.output.split(PREFIX)[1])


@pytest.mark.parametrize("missing", range(5))  # that of the transactional id is needed only at a start
def test_check_names_a_missing_permission(missing: int, pipeline: SecuredPipeline, access: AccessControl) -> None:
    mode = ("--error-handling-mode", "log", "--error-handling-log-target", target(pipeline))
    permissions = needed(pipeline, target(pipeline))
    access.grant(permissions)
    ready = inside.run(pipeline.arguments("--check", *mode))
    assert ready.code == 0, ready.output
    lost = permissions[missing]
    access.revoke(lost)
    finished = inside.run(pipeline.arguments("--check", *mode))
    (line,) = [line for line in finished.stdout.splitlines() if line.startswith("TO DO")]
    assert finished.code == 1
    assert f"{lost.resource.lower()} {lost.name}" in line
    assert f"permission {lost.operation}: missing" in line or f"not allowed to {lost.operation.lower()} " in line


@pytest.mark.parametrize("option", ["--explore-k", "--dry-run"])
def test_a_preview_needs_no_permission_to_write(option: str, pipeline: SecuredPipeline, access: AccessControl) -> None:
    access.grant(each for each in needed(pipeline, target(pipeline)) if each.operation == "READ")
    finished = inside.run(pipeline.arguments(option, "--error-handling-mode", "ignore"))
    assert finished.code == 0, finished.output
    assert "3 users" in finished.stdout or finished.stdout.startswith("user_id")


def test_an_export_needs_only_permission_to_read_the_output(pipeline: SecuredPipeline, access: AccessControl) -> None:
    """None on the input, the group or the transactional id."""
    access.grant(needed(pipeline, target(pipeline)))
    assert run(pipeline).code == 0
    wait_until(lambda: set(pipeline.labelling()) == {"ann", "bob", "cem"}, "the labels")
    read_output = Permission("READ", "TOPIC", pipeline.output)
    access.grant([read_output])
    file = pipeline.directory / "labels.csv"
    finished = inside.run(pipeline.arguments("--export", str(file)))
    assert finished.code == 0, finished.output
    assert file.read_text(encoding="utf-8").splitlines()[1:] == ['"ann",1.0,1,0', '"bob",2.0,1,1', '"cem",3.0,2,2']
    access.revoke(read_output)
    finished = inside.run(pipeline.arguments("--export", str(file)))
    assert finished.code == 1
    assert finished.stderr.startswith(f"{PREFIX}not allowed to read topic {pipeline.output} (")


def test_cells_need_no_permission_on_the_group(make_secured: MakeSecured, access: AccessControl) -> None:
    """No offsets are committed."""
    cells = Cells(make_secured())
    cells.write({11: 5, 7_011: 4, 20_011: 3})
    access.grant(
        [
            Permission("READ", "TOPIC", cells.input),
            Permission("READ", "TOPIC", cells.output),
            Permission("WRITE", "TOPIC", cells.output),
            Permission("WRITE", "TRANSACTIONAL_ID", f"user_classifier-{cells.group}-{cells.output}"),
        ]
    )
    finished = inside.run(cells.arguments("--until-end"))
    assert finished.code == 0, finished.output
    wait_until(lambda: len(cells.written) > 0, "the labels")
    cells.assert_labels_are_those_of_one_fit()
