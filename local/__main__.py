"""Command line of the local stack: python -m local COMMAND."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import requests
from confluent_kafka import KafkaException

from local import dashboard, demo, stack
from local.live_table import LiveTable, Screen, follow
from local.own_data import demo as own_data_demo
from local.own_data import load
from local.own_data import options as own_data_options
from local.own_data.lines import FileError
from local.own_data.load import LoadError
from local.services import artifacts
from local.services.artifacts import ROOT, ArtifactError
from local.services.process import LOOPBACK, ServiceError
from local.sql.confluent_sql import StatementError
from local.sql.sql_gateway import Result, SqlError
from local.sql.topics import Topics
from local.sql.workspace import Workspace, pipeline_files
from local.stack import Ports, StackError, StackState

ERRORS = (
    *(ArtifactError, ServiceError, SqlError, StackError, StatementError, demo.DemoError),
    *(FileError, LoadError, own_data_options.OptionError),
)
EXIT_FAILED = 1
EXIT_INTERRUPTED = 130

EXAMPLES = """\
examples:
  python -m local up                       Kafka, Schema Registry and Flink in the background
  python -m local datagen                  a stream of sample transactions
  python -m local run-sql                  sql/*.sql in order, then the live table until Ctrl-C
  python -m local run-sql sql/1*.sql       one statement only
  python -m local load purchases.csv       your own purchases, in place of statement 2
  python -m local create-topic user_labeling --partitions 1 --config cleanup.policy=compact
  python -m local dashboard                the labels in a browser
  python -m local down                     stop everything; topics and schemas stay
"""


def reach_own_services_directly() -> None:
    """Exclude 127.0.0.1 from the proxy of the environment, if there is one; downloads still use the proxy."""
    name = "no_proxy" if "no_proxy" in os.environ else "NO_PROXY"  # lower case takes precedence
    hosts = [each for each in os.environ.get(name, "").split(",") if each]
    os.environ[name] = ",".join(hosts if LOOPBACK in hosts else [*hosts, LOOPBACK])


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    os.umask(os.umask(0) | 0o022)  # nobody else may write to what the stack reads again
    arguments = _parser().parse_args(argv)
    reach_own_services_directly()
    command: Callable[[argparse.Namespace], None] = arguments.run
    try:
        command(arguments)
    except ERRORS as error:
        print(f"python -m local {arguments.command}: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KafkaException as error:
        print(f"python -m local {arguments.command}: Kafka: {error.args[0].str()}", file=sys.stderr)
        return EXIT_FAILED
    except requests.RequestException as error:
        print(f"python -m local {arguments.command}: {_unanswered(error)}; see what runs: make status", file=sys.stderr)
        return EXIT_FAILED
    except OSError as error:
        print(f"python -m local {arguments.command}: {error.filename}: {error.strerror}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0


def _unanswered(error: requests.RequestException) -> str:
    service = urlsplit(str(error.request.url)).netloc if error.request is not None else "a service"
    if error.response is not None:
        return f"{service} answered HTTP {error.response.status_code}"
    return f"no answer from {service}"


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _echo(text: str) -> None:
    print(text, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local",
        description="Run Kafka, Schema Registry and Flink on this machine, on 127.0.0.1 and without passwords.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        return command

    _add_stack_commands(add)
    _add_pipeline_commands(add)
    add("fetch", lambda _: artifacts.fetch(_echo), "download and verify missing files (make setup does this)")
    add("lock", lambda _: artifacts.write_lock(_echo), "rewrite local/artifacts.lock.toml from artifacts.toml")
    return parser


Add = Callable[[str, Callable[[argparse.Namespace], None], str], argparse.ArgumentParser]


def _add_stack_commands(add: Add) -> None:
    up = add("up", _up, "start the stack in the background")
    up.add_argument("--without-flink", action="store_true", help="Kafka and Schema Registry only")
    up.add_argument(
        "--large-state", action="store_true", help="keep Flink's state on disk, for about 100,000 users or more"
    )
    _add_ports(up)
    down = add("down", _down, "stop the stack; topics and schemas stay, and running statements resume at the next up")
    down.add_argument("--delete-data", action="store_true", help="also delete topics, schemas and statements")
    for command in (up, down, add("status", _status, "show what is running and where")):
        _add_directory(command)
    show = add("demo", _demo, "run the whole pipeline once, on sample data or your own purchases, and stop it")
    show.add_argument(
        "--seconds",
        type=float,
        default=demo.SHOW_SECONDS,
        help="how long to show the table (default: %(default)s)",
    )
    show.add_argument("--dashboard", action="store_true", help="then show the labels in a browser, until Ctrl-C")
    _add_page_port(show)
    show.add_argument(
        "--directory", type=_directory, default=demo.DIRECTORY, help="emptied first (default: .local/demo)"
    )
    _add_ports(show)
    own_data_options.add_demo(show)


def _add_pipeline_commands(add: Add) -> None:
    sql = add("sql", _sql, "open Flink's SQL client with the pipeline's tables declared")
    run_sql = add("run-sql", _run_sql, "run files that contain one Confluent Cloud SQL statement each")
    run_sql.add_argument("files", nargs="*", type=Path, metavar="FILE", help="default: sql/*.sql in order")
    run_sql.add_argument(
        "--seconds", type=float, default=float("inf"), help="how long to show a SELECT (default: until Ctrl-C)"
    )
    datagen = add(
        "datagen", _datagen, "create the topic transactions and fill it as Confluent's Datagen connector does"
    )
    datagen.add_argument(
        "--rate", type=int, default=demo.ROWS_PER_SECOND, help="transactions per second (default: %(default)s)"
    )
    topic = add("create-topic", _create_topic, "create a topic by hand, without a schema")
    topic.add_argument("name", metavar="NAME")
    topic.add_argument("--partitions", type=int, default=6, help="default: %(default)s")
    topic.add_argument("--config", action="append", default=[], metavar="KEY=VALUE", help="e.g. cleanup.policy=compact")
    loader = add("load", _load, "load purchases from a file into transactions_enriched, in place of statement 2")
    loader.add_argument("file", type=Path, metavar="FILE", help="one purchase per line; plain text or gzip")
    own_data_options.add_columns(loader.add_argument)
    page = add("dashboard", _dashboard, "show the labels in a browser, until Ctrl-C")
    _add_page_port(page)
    for command in (sql, run_sql, datagen, loader, topic, page):
        _add_directory(command)


def _add_directory(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--directory",
        type=_directory,
        default=stack.UP_DIRECTORY,
        help="data, logs and process ids (default: .local/up)",
    )


def _directory(text: str) -> Path:
    path = Path(text)
    try:
        stack.check_own_folder(path)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return path


def _add_page_port(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--dashboard-port",
        type=_port,
        default=os.environ.get("DASHBOARD_PORT") or str(dashboard.PORT),
        metavar="N",
        help=f"port of the page on 127.0.0.1 (default: $DASHBOARD_PORT or {dashboard.PORT})",
    )


def _add_ports(command: argparse.ArgumentParser) -> None:
    defaults = Ports()
    for name, what in (("kafka", "Kafka"), ("registry", "Schema Registry"), ("sql", "Flink's SQL gateway")):
        variable = f"{name.upper()}_PORT"
        default = getattr(defaults, name)
        command.add_argument(
            f"--{name}-port",
            type=_port,
            default=os.environ.get(variable) or str(default),
            metavar="N",
            help=f"port of {what} on 127.0.0.1 (default: ${variable} or {default})",
        )


def _port(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"a port is a whole number from 1 to 65535, got '{text}'")
    return int(text)


def _ports(arguments: argparse.Namespace) -> Ports:
    return Ports(arguments.kafka_port, arguments.registry_port, arguments.sql_port)


def _up(arguments: argparse.Namespace) -> None:
    directory = arguments.directory.resolve()
    ports = _ports(arguments)
    stack.up(directory, ports, not arguments.without_flink, _echo, arguments.large_state)
    _print_status(directory, _running(directory))
    _echo(f"client: python user_classifier.py {_relative(stack.client_configuration(directory, ports))}")


def _down(arguments: argparse.Namespace) -> None:
    stack.down(arguments.directory.resolve(), _echo, arguments.delete_data)


def _status(arguments: argparse.Namespace) -> None:
    directory = arguments.directory.resolve()
    _print_status(directory, _running(directory))


def _running(directory: Path) -> StackState:
    state = stack.read_state(directory)
    if state is None:
        raise StackError("nothing is running; to start: make up")
    return state


def _print_status(directory: Path, state: StackState) -> None:
    ports = state.ports
    where = {
        "kafka": ports.endpoints.bootstrap_servers,
        "schema-registry": ports.endpoints.registry_url,
        "flink-jobmanager": state.flink_url,
        "flink-sql-gateway": ports.sql_url,
    }
    for process in state.processes:
        status = f"running, pid {process.pid}" if process.process else "NOT RUNNING"
        _echo(f"{process.name:20} {status:22} {where.get(process.name, '')}".rstrip())
    _echo(f"data and logs: {_relative(directory)}")


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _workspace(arguments: argparse.Namespace) -> Workspace:
    directory = arguments.directory.resolve()
    return _running(directory).workspace(directory, _echo)


def _run_sql(arguments: argparse.Namespace) -> None:
    workspace = _workspace(arguments)
    for path in arguments.files or pipeline_files():
        _echo(str(_relative(path.resolve())))
        result = workspace.run_file(path)
        if result is not None and result.is_query:
            _show(result, arguments.seconds)
        elif result is not None:
            _echo(f"  running as job {result.job_id}")


def _show(result: Result, seconds: float) -> None:
    table = LiveTable(result.columns)
    screen = Screen()
    end = time.monotonic() + seconds
    try:
        with suppress(KeyboardInterrupt):  # Ctrl-C leaves the table
            follow(result.changes(), table, screen, lambda: time.monotonic() > end)
    finally:
        screen.draw(table.render(), keep=True)
        result.close()


def _datagen(arguments: argparse.Namespace) -> None:
    result = _workspace(arguments).start_datagen(arguments.rate)
    if result is not None:
        _echo(f"{arguments.rate} transactions per second, running as job {result.job_id}")


def _load(arguments: argparse.Namespace) -> None:
    ports = _running(arguments.directory.resolve()).ports
    purchases = own_data_options.purchases(arguments.file, arguments)
    n_purchases = load.count_purchases(purchases, _echo)
    topics = Topics(ports.endpoints)
    if topics.schema(f"{load.TABLE}-value") is None:
        _workspace(arguments).run_file(load.statement())
    elif not topics.is_empty(load.TABLE):
        _echo(f"{load.TABLE} already contains records; the totals count them too")
    load.load_file(purchases, n_purchases, ports.endpoints)
    _echo(f"all purchases are in {load.TABLE}; next: python -m local run-sql sql/[3-8]_*.sql")


def _create_topic(arguments: argparse.Namespace) -> None:
    config = dict(_setting(text) for text in arguments.config)
    ports = _running(arguments.directory.resolve()).ports
    if not Topics(ports.endpoints).create(arguments.name, arguments.partitions, config):
        raise StackError(f"topic {arguments.name} already exists")


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise StackError(f"--config {text}: write KEY=VALUE, e.g. cleanup.policy=compact")
    return key, value


def _sql(arguments: argparse.Namespace) -> None:
    workspace = _workspace(arguments)
    directory = arguments.directory.resolve() / "flink"
    script = directory / "tables.sql"
    script.write_text(workspace.declaration_script(), encoding="utf-8")
    workspace.close()
    command = stack.sql_client(directory, _running(arguments.directory.resolve()).ports, script)
    # Ctrl-C ends a query in the client, but not this program. A handler: Java would inherit SIG_IGN and ignore Ctrl-C.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    subprocess.run(command, env={**os.environ, "FLINK_CONF_DIR": str(directory)}, check=False)


def _dashboard(arguments: argparse.Namespace) -> None:
    directory = arguments.directory.resolve()
    configuration = stack.client_configuration(directory, _running(directory).ports)
    stack.require_free("dashboard", arguments.dashboard_port)
    command = dashboard.command(configuration, arguments.dashboard_port)
    os.chdir(ROOT)
    os.execv(command[0], command)  # replaces this process, so Ctrl-C and the exit code are those of the page


def _demo(arguments: argparse.Namespace) -> None:
    directory = arguments.directory.resolve()
    ports = _ports(arguments)
    page = arguments.dashboard_port if arguments.dashboard else None
    if page is not None:
        stack.require_free("dashboard", page)
    if arguments.csv is None:
        own_data_options.require_none(arguments)
        demo.run(directory, ports, arguments.seconds, page, _echo)
        return
    purchases = own_data_options.purchases(arguments.csv, arguments)
    client_options = own_data_options.client_options(arguments)
    own_data_demo.run(directory, ports, purchases, arguments.out, client_options, page, _echo)


if __name__ == "__main__":
    # SIGTERM stops everything gracefully, as Ctrl-C does.
    signal.signal(signal.SIGTERM, _as_interrupt)
    sys.exit(main())
