"""The pipeline for the pictures: the local stack, a stream of transactions at a given rate, the SQL statements."""

import os
import shutil
from pathlib import Path

from img.paths import DIRECTORY
from local import stack
from local.sql.catalog import Catalog
from local.sql.datagen import JOB_NAME
from local.sql.jobs import Jobs
from local.sql.workspace import Workspace, pipeline_files
from local.stack import Ports, StackError, StackState


class Pipeline:
    """A local stack that runs inside a `with` block, in a directory that is emptied first."""

    def __init__(self, directory: Path = DIRECTORY) -> None:
        self.directory = directory
        self.ports = _ports()

    def __enter__(self) -> "Pipeline":
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        stack.up(self.directory, self.ports, with_flink=True, echo=_silently)
        return self

    def __exit__(self, *_: object) -> None:
        stack.down(self.directory, _silently, delete_data=True)

    @property
    def configuration(self) -> Path:
        """The client's configuration file."""
        return stack.client_configuration(self.directory, self.ports)

    def start_stream(self, rows_per_second: int) -> None:
        """Start the stream of transactions; see `local.sql.datagen`."""
        self._workspace().start_datagen(rows_per_second)

    def stop_stream(self) -> None:
        """Stop the stream with a savepoint: all of its records are then committed."""
        job = Catalog(self.directory).jobs[JOB_NAME]
        Jobs(self._record().flink_url).stop([job.job_id], self.directory / "savepoints")

    def run_statements(self, first: int, last: int, folder: str = "") -> None:
        """Run the statements `first` to `last` of a folder of sql/, both included."""
        workspace = self._workspace()
        for path in pipeline_files(folder)[first - 1 : last]:
            workspace.run_file(path)

    def _workspace(self) -> Workspace:
        return self._record().workspace(self.directory, _silently)

    def _record(self) -> StackState:
        record = stack.read_state(self.directory)
        if record is None:
            raise StackError("the services have ended")
        return record


def _silently(text: str) -> None:
    pass


def _ports() -> Ports:
    """Return the ports that make exports, else the default ones."""
    default = Ports()
    names = {"kafka": "KAFKA_PORT", "registry": "REGISTRY_PORT", "sql": "SQL_PORT"}
    return Ports(**{name: int(os.environ.get(variable) or getattr(default, name)) for name, variable in names.items()})
