"""The packages of the client with their modules, and the steps of a record through them, drawn from the code.

Each package is a row, above all that it imports. A thin arrow on the left is an import; one that follows from others is
left out. Time runs to the right: a strong arrow leads from one step of a record to the next.
"""

import ast
import graphlib
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path

from img.paths import IMG
from img.steps import SCRIPT, STEPS, Step
from img.style import DARK, FONTS, LIGHT
from local.services.artifacts import ROOT

CLIENT = "classifier"
"""The client's package. As the name of a row: the modules of classifier/ that are in no package inside it."""

COLOURS = {
    "light": LIGHT | {"import": "#a4aeb8", "badge": "#c2410c"},
    "dark": DARK | {"line": "#b1bac4", "import": "#5b6571", "badge": "#f0883e"},
}
"""By the colour scheme of a page."""

PICTURES = {f"packages-{scheme}.svg": colours for scheme, colours in COLOURS.items()}

# Sizes in pixels. They leave space for fonts that are a little wider than FONTS.
MARGIN = 12
IMPORTS_WIDTH = 72  # of the column with the thin arrows
REACH = 10, 6  # of a thin arrow to the left: at least, and for each row further down
PACKAGE_WIDTH = 256
STEP_WIDTH = 60
STEPS_LEFT = MARGIN + IMPORTS_WIDTH + PACKAGE_WIDTH + 4
WIDTH = STEPS_LEFT + STEP_WIDTH * len(STEPS) + MARGIN
MODULES_CHARACTERS = 40  # in a line of module names
LINE_HEIGHT = 13
ROW_GAP = 8
LEAST_HEIGHT = 52  # of a row: a badge above two lines
BADGE = 24, 16  # width, height
BADGE_TOP = 8  # from the top of a row to that of a badge
CORNER = 7  # radius
LEGEND_COLUMNS = 3
LEGEND_LINE = 20
LEGEND = (
    "A row is a package with its modules. A thin arrow is an import; one that follows from others is left out. A strong"
    " arrow is the next step of a record."
)


@dataclass(frozen=True)
class Package:
    """One row of the picture: the script, a package, or the modules of classifier/ itself."""

    name: str
    modules: tuple[str, ...]
    imports: frozenset[str]
    """Names of packages."""


def draw_packages() -> list[Path]:
    """Draw one picture for light and one for dark pages; return their paths."""
    packages = packages_of(read_code(ROOT))
    paths = []
    for name, colours in PICTURES.items():
        path = IMG / name
        path.write_text(Picture(packages, colours).svg(), encoding="utf-8")
        paths.append(path)
    return paths


# Reading the code


def read_code(root: Path) -> dict[str, str]:
    """Return the text of the script and of each module of the client, by dotted name."""
    paths = [root / f"{SCRIPT}.py", *sorted(root.glob(f"{CLIENT}/**/*.py"))]
    return {module_name(path.relative_to(root)): path.read_text(encoding="utf-8") for path in paths}


def module_name(path: Path) -> str:
    """Return the dotted name of a module, `classifier.kafka` for classifier/kafka/__init__.py."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def packages_of(code: Mapping[str, str]) -> dict[str, Package]:
    """Return the packages by name, each before those that it imports."""
    found = {}
    for name in sorted({package_name(module, code) for module in code}):
        members = [module for module in code if package_name(module, code) == name]
        imports = {package_name(target, code) for module in members for target in imported(module, code)}
        modules = tuple(module.rpartition(".")[2] for module in members if not is_package(module, code))
        found[name] = Package(name, modules, frozenset(imports - {name}))
    return in_order(found)


def package_name(module: str, code: Iterable[str]) -> str:
    """Return the package of a module: `kafka` for classifier.kafka.source, `classifier` for classifier.errors."""
    if module == SCRIPT:
        return SCRIPT
    package = module if is_package(module, code) else module.rpartition(".")[0]
    return package.removeprefix(f"{CLIENT}.")


def is_package(module: str, code: Iterable[str]) -> bool:
    """Return whether other modules are inside this one."""
    return any(other.startswith(f"{module}.") for other in code)


def imported(module: str, code: Mapping[str, str]) -> Iterator[str]:
    """Yield the client's modules that a module imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(code[module])):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            target = name if name in code else name.rpartition(".")[0]  # a module, or a name defined in one
            if target in code:
                yield target


def in_order(packages: Mapping[str, Package]) -> dict[str, Package]:
    """Return the packages, each before those that it imports; RuntimeError for a cycle."""
    sorter = graphlib.TopologicalSorter({name: sorted(package.imports) for name, package in packages.items()})
    try:
        order = list(sorter.static_order())
    except graphlib.CycleError as error:
        raise RuntimeError(f"packages import each other: {', '.join(reversed(error.args[1]))}") from None
    return {name: packages[name] for name in reversed(order)}


def direct_imports(packages: Mapping[str, Package]) -> list[tuple[str, str]]:
    """Return the imports without those that follow from others (the transitive reduction)."""
    reached = dict[str, AbstractSet[str]]()
    found = []
    for name, package in reversed([*packages.items()]):
        indirect = set[str]().union(*(reached[target] for target in package.imports))
        reached[name] = package.imports | indirect
        found += [(name, target) for target in sorted(package.imports - indirect)]
    return found


def package_of(step: Step) -> str:
    """Return the package of a step's module."""
    return SCRIPT if step.module == SCRIPT else step.module.rpartition(".")[0].removeprefix(f"{CLIENT}.")


# Drawing


@dataclass(frozen=True)
class Row:
    """Where a package is drawn."""

    top: int
    height: int
    modules: list[str]
    """Lines of text."""

    @property
    def badge_middle(self) -> float:
        """The height at which its steps are connected."""
        return self.top + BADGE_TOP + BADGE[1] / 2


class Picture:
    """One picture in the colours of a light or of a dark page."""

    def __init__(self, packages: Mapping[str, Package], colours: Mapping[str, str]) -> None:
        self.packages = packages
        self.colours = colours
        self.rows = rows_of(packages)

    def svg(self) -> str:
        """Return the picture."""
        last = [*self.rows.values()][-1]
        legend_top = last.top + last.height + 24
        n_lines = -(-len(STEPS) // LEGEND_COLUMNS)  # rounded up
        height = legend_top + LEGEND_LINE * (n_lines + 1) + MARGIN
        drawn = [
            f'<svg width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" xmlns="http://www.w3.org/2000/svg"'
            f' font-family="{FONTS}" font-size="12" fill="{self.colours["ink"]}">',
            f'<rect width="{WIDTH}" height="{height}" fill="{self.colours["paper"]}"/>',
            self.arrowhead("import", 5),
            self.arrowhead("badge", 4),
            *(self.package(package) for package in self.packages.values()),
            *(self.import_arrow(name, target) for name, target in direct_imports(self.packages)),
            *(self.next_step(number) for number, _ in enumerate(pairwise(STEPS), 1)),
            *(self.step(number, step) for number, step in enumerate(STEPS, 1)),
            *(self.legend(number, step, legend_top, n_lines) for number, step in enumerate(STEPS, 1)),
            text(MARGIN, legend_top + LEGEND_LINE * n_lines + 16, LEGEND, f'font-size="11" {self.fill("line")}'),
            "</svg>\n",
        ]
        return "\n".join(drawn)

    def fill(self, colour: str) -> str:
        """Return the attribute for a colour by its name."""
        return f'fill="{self.colours[colour]}"'

    def package(self, package: Package) -> str:
        """Return the row of a package: a box across the picture, its name and its modules."""
        row = self.rows[package.name]
        left = MARGIN + IMPORTS_WIDTH
        has_steps = any(package_of(step) == package.name for step in STEPS)
        colour = self.fill("client" if has_steps else "outside")
        lines = (
            text(left + 10, row.top + 32 + LINE_HEIGHT * number, line, f'font-size="10.5" {self.fill("line")}')
            for number, line in enumerate(row.modules)
        )
        box = f'<rect x="{left}" y="{row.top}" width="{WIDTH - left - MARGIN}" height="{row.height}" rx="6" {colour}/>'
        name = text(left + 10, row.top + 17, title(package.name), 'font-weight="bold"')
        return "\n".join((f'<g class="package" id="{package.name}">', box, name, *lines, "</g>"))

    def import_arrow(self, name: str, target: str) -> str:
        """Return an arrow on the left, from the lower part of a row to the upper part of one below it."""
        rows = [*self.packages]
        start = self.rows[name].top + self.rows[name].height * 0.6
        end = self.rows[target].top + self.rows[target].height * 0.35
        right = MARGIN + IMPORTS_WIDTH
        left = right - REACH[0] - REACH[1] * (rows.index(target) - rows.index(name))
        return (
            f'<path class="import" d="M{right},{start:.1f} C{left},{start:.1f} {left},{end:.1f} {right - 5},{end:.1f}"'
            f' fill="none" stroke="{self.colours["import"]}" stroke-width="1.3" marker-end="url(#import-head)"/>'
        )

    def step(self, number: int, step: Step) -> str:
        """Return the badge of a step, with its name below in one word a line."""
        row = self.rows[package_of(step)]
        top = row.top + BADGE_TOP + BADGE[1] + 11
        lines = (
            centred(text(middle_of(number), top + 12 * line, word, 'class="step" font-size="10.5"'))
            for line, word in enumerate(step.name.split())
        )
        return "\n".join((self.badge(number, middle_of(number), row.badge_middle), *lines))

    def badge(self, number: int, x: float, y: float) -> str:
        """Return a number in a rounded field, with its middle at x and y."""
        width, height = BADGE
        field = f'<rect x="{x - width / 2}" y="{y - height / 2}" width="{width}" height="{height}" rx="7"'
        digits = text(x, y + 4, str(number), f'font-size="11" {self.fill("number")}')
        return f"{field} {self.fill('badge')}/>{centred(digits)}"

    def next_step(self, number: int) -> str:
        """Return the arrow from a step to the next: between the columns of both, so that it crosses no text."""
        start = self.rows[package_of(STEPS[number - 1])].badge_middle
        end = self.rows[package_of(STEPS[number])].badge_middle
        left = middle_of(number) + BADGE[0] / 2
        right = middle_of(number + 1) - BADGE[0] / 2 - 4  # for the arrowhead
        middle = (middle_of(number) + middle_of(number + 1)) / 2
        turn = CORNER if end > start else -CORNER
        path = f"M{left},{start} H{right}"
        if start != end:
            path = (
                f"M{left},{start} H{middle - CORNER} Q{middle},{start} {middle},{start + turn}"
                f" V{end - turn} Q{middle},{end} {middle + CORNER},{end} H{right}"
            )
        return (
            f'<path class="next" d="{path}" fill="none" stroke="{self.colours["badge"]}" stroke-width="2.2"'
            ' marker-end="url(#badge-head)"/>'
        )

    def legend(self, number: int, step: Step, top: float, n_lines: int) -> str:
        """Return the entry of a step below the rows: its number and its function."""
        column, line = divmod(number - 1, n_lines)
        x = MARGIN + column * (WIDTH - 2 * MARGIN) / LEGEND_COLUMNS
        y = top + LEGEND_LINE * line
        module = step.module.removeprefix(f"{CLIENT}.")
        written = text(x + BADGE[0] + 8, y + 4, f"{module}.{step.function}", 'class="function" font-size="11"')
        return self.badge(number, x + BADGE[0] / 2, y) + written

    def arrowhead(self, colour: str, size: int) -> str:
        """Return the definition of an arrowhead, `size` times as wide as its line."""
        return (
            f'<marker id="{colour}-head" viewBox="0 0 10 10" refX="6" refY="5" markerWidth="{size}"'
            f' markerHeight="{size}" orient="auto"><path d="M0,0 L10,5 L0,10 z" {self.fill(colour)}/></marker>'
        )


def rows_of(packages: Mapping[str, Package]) -> dict[str, Row]:
    """Return where each package is drawn, from top to bottom."""
    rows = {}
    top = MARGIN
    for name, package in packages.items():
        modules = [] if name == SCRIPT else textwrap.wrap(", ".join(package.modules), MODULES_CHARACTERS)
        row = Row(top, max(LEAST_HEIGHT, 26 + LINE_HEIGHT * len(modules)), modules)
        rows[name] = row
        top += row.height + ROW_GAP
    return rows


def middle_of(number: int) -> float:
    """Return the middle of a step's column."""
    return STEPS_LEFT + STEP_WIDTH * (number - 0.5)


def title(name: str) -> str:
    """Return the heading of a row."""
    if name == SCRIPT:
        return f"{SCRIPT}.py"
    return f"{CLIENT}/*.py" if name == CLIENT else f"{CLIENT}/{name}"


def text(x: float, y: float, content: str, attributes: str) -> str:
    """Return a line of text that begins at x."""
    return f'<text x="{x:g}" y="{y:g}" {attributes}>{escape(content)}</text>'


def centred(element: str) -> str:
    """Return a line of text with its middle at its x."""
    return element.replace("<text ", '<text text-anchor="middle" ', 1)
