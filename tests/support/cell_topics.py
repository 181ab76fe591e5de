"""The two topics of --cells on a real broker, as created by statements 1 and 3 of sql/scale_out."""

import random

from tests.support import cell_oracle
from tests.support.cell_records import CELLS_KEY, CELLS_VALUE, LABELS_KEY, LABELS_VALUE, count_record, label_of
from tests.support.pipeline import Pipeline
from tests.support.topics import Outgoing


class Cells:
    """The two topics of one test, and the command line of a client for them."""

    def __init__(self, pipeline: Pipeline, partitions: int = 6) -> None:
        self.topics = pipeline.topics
        self.file = pipeline.file
        self.group = pipeline.group
        self.input = f"{pipeline.source}_cells"
        self._partitions = partitions
        self._register = pipeline.subjects.register
        self.topics.create(self.input, partitions, {"cleanup.policy": "compact"})
        self._ids = self._register(f"{self.input}-key", CELLS_KEY), self._register(f"{self.input}-value", CELLS_VALUE)
        self.output = self.new_output(f"{pipeline.output}_cells")
        self.counts = dict[int, int]()

    def new_output(self, name: str) -> str:
        """Create a topic for labels with its subjects; return its name."""
        self.topics.create(name, self._partitions, {"cleanup.policy": "compact"})
        self._register(f"{name}-key", LABELS_KEY)
        self._register(f"{name}-value", LABELS_VALUE)
        return name

    def arguments(self, *more: str) -> list[str]:
        """The command line of the client."""
        return [str(self.file), "--cells", "-t", self.input, "-o", self.output, "-g", self.group, *more]

    def write(self, counts: dict[int, int], commit: bool = True) -> None:
        """Write the new number of users of some cells in one transaction, as Flink does."""
        records = [(cell % self._partitions, *count_record(self._ids, cell, n)) for cell, n in counts.items()]
        outgoing = [Outgoing(at, value, [], key) for at, key, value in records]
        self.topics.write_in_transaction(self.input, outgoing, commit)
        self.counts |= counts if commit else {}

    def move(self, rng: random.Random, n_users: int) -> None:
        """Add users to random cells, and remove as many."""
        left = {cell: n for cell, n in self.counts.items() if n}
        changed = dict[int, int]()
        for totals in random_totals(rng, n_users):
            cell = cell_oracle.cell_of(*totals)
            other = rng.choice(sorted(left))
            changed[cell] = changed.get(cell, self.counts.get(cell, 0)) + 1
            changed[other] = max(0, changed.get(other, self.counts.get(other, 0)) - 1)
        self.write(changed)

    @property
    def written(self) -> list[tuple[int, int]]:
        """Cell and label of every record of the output."""
        return [label_of(each.key or b"", each.value or b"") for each in self.topics.read(self.output)]

    def assert_labels_are_those_of_one_fit(self, n_clusters: int = 3) -> None:
        """Every cell of the lattice has the label that the oracle gives it."""
        labels = dict(self.written)
        expected = cell_oracle.labels(self.counts, n_clusters)
        differ = {cell for cell in expected if labels.get(cell) != expected[cell]}
        assert not differ, f"{len(differ)} of {len(expected)} labels"


def random_totals(rng: random.Random, n_users: int) -> list[tuple[float, int]]:
    """Users in three distant groups, so that there is one best clustering."""
    groups = [(0.3, 1), (1.5, 2), (4.0, 4)]
    found = []
    for _ in range(n_users):
        amount, number = rng.choice(groups)
        found.append((amount * rng.uniform(0.9, 1.1), number + rng.randint(0, number // 3)))
    return found
