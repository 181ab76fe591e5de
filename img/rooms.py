"""The rooms of the client, read from its imports: the script at the top, each room below all that import it.

A room is a file; a folder of files is one room. An arrow is an import; one that follows from others is left out.
On top lies the way of a record.
"""

import ast
import graphlib
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

from img.graphviz import badge, graphviz
from img.places import IMG
from img.way import COLOURS, WAY, line_of
from local.services.artifacts import ROOT

SCRIPT = "user_classifier"
PACKAGE = "classifier."
FILES_IN_A_ROW = 3  # of a folder
LEGEND = (
    "A box is a file of classifier/, or a folder, with its number of lines. A thin arrow is an import; one that follows"
    " from others is left out.\\nThe strong arrow is the way of a record: each step with the function that takes it."
)
PICTURES = {f"rooms-{scheme}.svg": colours for scheme, colours in COLOURS.items()}


@dataclass(frozen=True)
class Room:
    """A file of the client, or a folder of files."""

    name: str
    n_lines: int
    files: Mapping[str, int]  # of a folder, with their numbers of lines
    imports: frozenset[str]  # rooms


def draw_rooms() -> list[Path]:
    """Draw the rooms for light and for dark pages; return where the pictures are."""
    code = read_code(ROOT)
    check_way(code)
    rooms = rooms_of(code)
    paths = []
    for name, colours in PICTURES.items():
        path = IMG / name
        path.write_text(graphviz(as_dot(rooms, colours), name), encoding="utf-8")
        paths.append(path)
    return paths


# What the code says


def read_code(root: Path) -> dict[str, str]:
    """Return the text of each module of the client: the script and the files it is made of."""
    paths = [root / f"{SCRIPT}.py", *sorted(root.glob("classifier/**/*.py"))]
    return {module_of(path.relative_to(root)): path.read_text(encoding="utf-8") for path in paths}


def check_way(code: Mapping[str, str]) -> None:
    """Raise RuntimeError where a step's function is not where the way says."""
    for step in WAY:
        where = f"{step.room}.py" if step.room == SCRIPT else f"classifier/{step.room.replace('.', '/')}.py"
        line_of(step, code.get(step.room, ""), where)


def rooms_of(code: Mapping[str, str]) -> dict[str, Room]:
    """Return the rooms by name, each before those it imports."""
    rooms = {}
    for name in dict.fromkeys(map(room_of, code)):
        files = {module: text.count("\n") for module, text in code.items() if room_of(module) == name}
        inside = {module.removeprefix(f"{name}."): n_lines for module, n_lines in files.items() if module != name}
        wanted = {room_of(each) for module in files for each in imported(module, code)}
        rooms[name] = Room(name, sum(files.values()), inside, frozenset(wanted - {name}))
    return in_order(rooms)


def module_of(path: Path) -> str:
    """Return the name by which a file is imported, without that of the package."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__").removeprefix(PACKAGE)


def room_of(module: str) -> str:
    """Return the room a module is, or lies in."""
    return module.split(".")[0]


def imported(module: str, code: Mapping[str, str]) -> Iterator[str]:
    """Yield the client's modules that one of them imports, wherever in it."""
    for node in ast.walk(ast.parse(code[module])):
        names = list[str]()
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise RuntimeError(f"{module}, line {node.lineno}: a relative import; name the module in full")
            names = [f"{node.module}", *(f"{node.module}.{alias.name}" for alias in node.names)]
        ours = [name.removeprefix(PACKAGE) for name in names if name.startswith(PACKAGE) or name == SCRIPT]
        yield from (name for name in ours if name in code)  # the others are names that a module defines


def in_order(rooms: Mapping[str, Room]) -> dict[str, Room]:
    """Return the rooms, each before those it imports; RuntimeError if there is no such order."""
    sorter = graphlib.TopologicalSorter({name: sorted(room.imports) for name, room in rooms.items()})
    try:
        below = list(sorter.static_order())
    except graphlib.CycleError as error:
        raise RuntimeError(f"rooms import each other: {', '.join(reversed(error.args[1]))}") from None
    return {name: rooms[name] for name in reversed(below)}


def layers(rooms: Mapping[str, Room]) -> dict[str, int]:
    """Return how far below the script each room lies: below all that import it."""
    layer = dict.fromkeys(rooms, 0)
    for name, room in rooms.items():
        for below in room.imports:
            layer[below] = max(layer[below], layer[name] + 1)
    return layer


def drawn_imports(rooms: Mapping[str, Room]) -> list[tuple[str, str]]:
    """Return imports, without those that follow from others."""
    reached = dict[str, AbstractSet[str]]()
    drawn = []
    for name, room in reversed([*rooms.items()]):
        further = set[str]().union(*(reached[each] for each in room.imports))
        reached[name] = room.imports | further
        drawn += [(name, each) for each in sorted(room.imports - further)]
    return drawn


# How it is drawn


def as_dot(rooms: Mapping[str, Room], colours: Mapping[str, str]) -> str:
    """Return the picture as a text for Graphviz."""
    layer = layers(rooms)
    same = [[f'"{name}"' for name in rooms if layer[name] == each] for each in range(max(layer.values()) + 1)]
    return "\n".join(
        (
            "digraph rooms {",
            f'  graph [bgcolor="{colours["paper"]}", nodesep=0.12, ranksep=0.4, pad=0.15]',
            '  node [fontname="Helvetica", fontsize=12, shape=box, style="filled,rounded", margin="0.05,0.03"]',
            f'  node [fontcolor="{colours["ink"]}", color="{colours["line"]}"]',
            f'  fontname="Helvetica"; fontsize=11; fontcolor="{colours["ink"]}"; label="{LEGEND}"',
            *(f'  "{name}" {box(room, colours)}' for name, room in rooms.items()),
            *(f"  {{ rank=same; {' '.join(names)} }}" for names in same),
            f'  edge [class=import, color="{colours["import"]}", arrowsize=0.5, penwidth=0.9]',
            *(f'  "{importing}" -> "{each}"' for importing, each in drawn_imports(rooms)),
            f'  edge [class=way, color="{colours["way"]}", arrowsize=0.8, penwidth=2.4]',
            *(f"  {edge}" for edge in way_edges(layer)),
            "}",
        )
    )


def way_edges(layer: Mapping[str, int]) -> Iterator[str]:
    """Yield the way from room to room. All are written downwards, in the order of the layers, that of Graphviz."""
    for one, other in pairwise(room_of(step.room) for step in WAY):
        if layer[one] > layer[other]:
            yield f'"{other}" -> "{one}" [dir=back]'
        elif one != other:
            yield f'"{one}" -> "{other}"'


def box(room: Room, colours: Mapping[str, str]) -> str:
    """Return the attributes of a room: name, number of lines, the steps of the way, the files of a folder."""
    steps = [(number, step) for number, step in enumerate(WAY, 1) if room_of(step.room) == room.name]
    small = f'<FONT POINT-SIZE="10" COLOR="{colours["line"]}">'
    title = f"{room.name}.py" if room.name == SCRIPT else f"{room.name}/" if room.files else room.name
    rows = [f'<TD COLSPAN="{FILES_IN_A_ROW}"><B>{title}</B>  {small}{room.n_lines}</FONT></TD>']
    for number, step in steps:
        told = f'<TD COLSPAN="2" ALIGN="LEFT" BALIGN="LEFT">{step.name}<BR/>{small}{step.function}</FONT></TD>'
        rows.append(f"<TD>{badge(number, colours)}</TD>{told}")
    files = iter(room.files.items())
    while row := list(islice(files, FILES_IN_A_ROW)):
        rows.append("".join(f'<TD ALIGN="LEFT">{name}  {small}{n_lines}</FONT></TD>' for name, n_lines in row))
    table = "".join(f"<TR>{row}</TR>" for row in rows)
    ground = colours["client" if steps else "outside"]
    return f'[fillcolor="{ground}", label=<<TABLE BORDER="0" CELLSPACING="0" CELLPADDING="1">{table}</TABLE>>]'
