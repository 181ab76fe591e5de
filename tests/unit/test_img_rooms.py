"""The rooms and the way of a record are drawn as the code has them: a picture that is not drawn anew fails here."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from img import architecture, one_room, rooms
from img.graphviz import FONTS
from img.places import IMG
from img.rooms import Room, check_way, drawn_imports, layers, read_code, rooms_of
from img.way import COLOURS, WAY, Step, line_of
from tests.support.client import ROOT
from tests.unit.test_img import LEAST_CONTRAST, contrast

REDRAW = "the picture is not that of the code: make img, or .venv/bin/python -m img rooms"
SVG = "{http://www.w3.org/2000/svg}"

CODE = {
    "spare": "import classifier.errors\n",
    "user_classifier": "import classifier.loop\nfrom classifier import errors\nfrom avro import errors as others\n",
    "loop": "from classifier.reports import plot\nfrom classifier.table import Table\nimport table\n",
    "reports": "from classifier.errors import Error\n\n",
    "reports.plot": "from classifier import reports\n",
    "table": "def rows():\n    from classifier.errors import Error\n",
    "errors": "import kafka\n",
    "kafka": "",
}
"""A client in which two rooms share a name with a package from elsewhere."""


@pytest.fixture(scope="module")
def drawn_from() -> dict[str, Room]:
    """The rooms as they are now."""
    return rooms_of(read_code(ROOT))


@pytest.mark.parametrize("name", rooms.PICTURES)
def test_all_rooms_are_drawn_with_their_files_and_steps(name: str, drawn_from: dict[str, Room]) -> None:
    told = {room.name: [re.sub(r"\d+", "#", text) for text in texts_of(room)] for room in drawn_from.values()}
    drawn = {group.title: [re.sub(r"\d+", "#", text) for text in group.texts] for group in groups(name, "node")}
    assert drawn == told, REDRAW


@pytest.mark.parametrize("name", rooms.PICTURES)
def test_no_room_has_grown_much_since_it_was_drawn(name: str, drawn_from: dict[str, Room]) -> None:
    drawn = {group.title: int(group.texts[1]) for group in groups(name, "node")}
    now = {room.name: room.n_lines for room in drawn_from.values()}
    assert {room: n for room, n in drawn.items() if abs(now[room] - n) > max(20, n / 4)} == {}, REDRAW


@pytest.mark.parametrize("name", rooms.PICTURES)
def test_the_imports_are_drawn_and_no_others(name: str, drawn_from: dict[str, Room]) -> None:
    drawn = [group.title for group in groups(name, "edge import")]
    assert sorted(drawn) == sorted(f"{one}->{other}" for one, other in drawn_imports(drawn_from)), REDRAW


@pytest.mark.parametrize("name", rooms.PICTURES)
def test_the_way_is_drawn_from_room_to_room(name: str) -> None:
    jumps = [{one.room, other.room} for one, other in pairwise(WAY) if one.room != other.room]
    drawn = [set(group.title.split("->")) for group in groups(name, "edge way")]
    assert sorted(map(sorted, drawn)) == sorted(map(sorted, jumps)), REDRAW


def test_the_way_is_that_of_the_code() -> None:
    check_way(read_code(ROOT))
    assert (WAY[0].name, WAY[-1].name) == ("consume", "produce, commit")


def test_a_step_that_is_not_in_its_room_is_told() -> None:
    code = read_code(ROOT) | {"changelog": "class Batch:\n    def give(self): ...\n\ndef take(): ...\n"}
    with pytest.raises(RuntimeError) as error:
        check_way(code)
    assert str(error.value) == (
        "classifier/users/changelog.py does not define Batch.take, where a record's way has its step 'net';"
        " name the right function, or room, in img/way.py"
    )


def test_a_room_that_is_gone_is_told() -> None:
    code = {module: text for module, text in read_code(ROOT).items() if module != "sink"}
    with pytest.raises(RuntimeError, match=r"^classifier/sink\.py does not define Sink\.write, "):
        check_way(code)


def test_functions_are_found_where_they_begin() -> None:
    code = "def f():\n    def g(): ...\n\nclass C:\n    def f(self): ...\n"
    assert [line_of(Step("s", "m", function), code, "m.py") for function in ("f", "C.f")] == [1, 5]
    with pytest.raises(RuntimeError, match="does not define g,"):
        line_of(Step("s", "m", "g"), code, "m.py")


def test_rooms_are_read_from_imports() -> None:
    found = rooms_of(CODE)
    assert {room.name: sorted(room.imports) for room in found.values()} == {
        "user_classifier": ["errors", "loop"],
        "loop": ["reports", "table"],
        "reports": ["errors"],
        "table": ["errors"],
        "errors": [],
        "kafka": [],
        "spare": ["errors"],
    }
    assert (found["reports"].n_lines, found["reports"].files) == (3, {"plot": 1})
    assert (found["table"].n_lines, found["table"].files) == (2, {})


def test_a_room_lies_below_all_that_import_it() -> None:
    layer = layers(rooms_of(CODE))
    assert layer == {"user_classifier": 0, "loop": 1, "reports": 2, "table": 2, "errors": 3, "kafka": 0, "spare": 0}


def test_an_import_that_follows_from_others_is_not_drawn() -> None:
    assert sorted(drawn_imports(rooms_of(CODE))) == [
        ("loop", "reports"),
        ("loop", "table"),
        ("reports", "errors"),
        ("spare", "errors"),
        ("table", "errors"),
        ("user_classifier", "loop"),
    ]


def test_a_new_module_is_a_new_room() -> None:
    before, after = (rooms_of(code) for code in (CODE, CODE | {"cells": "import classifier.errors\n"}))
    assert after.keys() - before.keys() == {"cells"}
    assert set(drawn_imports(after)) - set(drawn_imports(before)) == {("cells", "errors")}


def test_rooms_that_import_each_other_are_told() -> None:
    with pytest.raises(RuntimeError, match=r"^rooms import each other: (loop, table, loop|table, loop, table)$"):
        rooms_of(CODE | {"table": "from classifier import loop\n"})


def test_a_relative_import_is_told() -> None:
    with pytest.raises(RuntimeError) as error:
        rooms_of(CODE | {"table": "\nfrom .errors import Error\n"})
    assert str(error.value) == "table, line 2: a relative import; name the module in full"


def test_sections_are_read_from_their_headings() -> None:
    heading = "# " + "-" * 40
    script = f'"""Doc."""\nimport os\n{heading} errors\n# ---- no heading\nx = 1\n{heading} run loop\ny = 2\n'
    found = one_room.sections(script)
    assert found == [("docstring, imports", 1, 2), ("errors", 3, 3), ("run loop", 6, 2)]
    assert [[section.holds(line) for section in found] for line in (2, 3)] == [
        [True, False, False],
        [False, True, False],
    ]


@pytest.mark.parametrize("name", one_room.PICTURES)
def test_the_script_before_is_drawn_with_its_ten_sections(name: str) -> None:
    drawn = texts(ElementTree.parse(IMG / name).getroot())
    sections = [each for each in drawn if each in SECTIONS_BEFORE]
    assert sections == SECTIONS_BEFORE
    assert "2,791 lines" in drawn
    functions = [each for each in drawn if each in one_room.FUNCTIONS.values()]
    numbers = [each for each in drawn if re.fullmatch(r"\d\d?", each)]
    assert functions == list(one_room.FUNCTIONS.values())
    assert [int(each) for each in numbers if int(each) <= len(functions)] == list(range(1, len(functions) + 1))


def test_names_of_steps_stand_apart_in_their_sections() -> None:
    parts = [one_room.Section("a", 1, 300), one_room.Section("b", 301, 300)]
    *near, far = one_room.step_heights([290, 298, 299, 500], parts)
    assert [round(lower - upper, 6) for upper, lower in pairwise(near)] == [one_room.APART, one_room.APART]
    assert near[-1] == one_room.height_of(301) - one_room.INSIDE
    assert far == one_room.height_of(500)


@pytest.mark.parametrize("broken", [{"COMMIT": "0" * 40}, {"ROOT": Path("/nowhere")}], ids=["commit", "repository"])
def test_where_git_does_not_know_the_script_its_pictures_stay(
    broken: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: (IMG / name).read_bytes() for name in one_room.PICTURES}
    for name, value in broken.items():
        monkeypatch.setattr(one_room, name, value)
    assert one_room.draw_one_room() == []
    assert {name: (IMG / name).read_bytes() for name in one_room.PICTURES} == before


def test_without_git_its_pictures_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object, **__: object) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", absent)
    assert one_room.draw_one_room() == []


@pytest.mark.parametrize("scheme", COLOURS)
def test_the_rooms_can_be_read(scheme: str) -> None:
    colours = COLOURS[scheme]
    pairs = [(text, ground) for text in ("ink", "line") for ground in ("paper", "outside", "client")]
    weak = [
        pair for pair in (*pairs, ("number", "badge")) if contrast(*map(colours.__getitem__, pair)) < LEAST_CONTRAST
    ]
    assert weak == []


@pytest.mark.parametrize("name", [*architecture.PICTURES, *rooms.PICTURES, *one_room.PICTURES])
def test_a_picture_names_fonts_of_the_width_it_was_laid_out_with(name: str) -> None:
    fonts = re.findall(r'font-family="([^"]*)"', (IMG / name).read_text(encoding="utf-8"))
    assert set(fonts) == {FONTS}


SECTIONS_BEFORE = [
    "errors",
    "settings",
    "Schema Registry and Avro",
    "changelog",
    "user table",
    "clustering",
    "Kafka",
    "state",
    "run loop",
    "main",
]


@dataclass
class Group:
    """A node or an edge as it is drawn."""

    title: str
    texts: list[str]


def groups(name: str, kind: str) -> Iterator[Group]:
    """The nodes or edges of a picture by Graphviz."""
    for group in ElementTree.parse(IMG / name).getroot().iter(f"{SVG}g"):
        if group.get("class") == kind:
            yield Group(group.findtext(f"{SVG}title", ""), texts(group))


def texts(element: ElementTree.Element) -> list[str]:
    """The texts of a picture, or of a part of it."""
    found = (each.strip("\xa0 ") for text in element.iter(f"{SVG}text") for each in text.itertext())
    return [each for each in found if each]


def texts_of(room: Room) -> list[str]:
    """What a room's box has to say."""
    suffix = ".py" if room.name == "user_classifier" else "/" if room.files else ""
    steps = [(number, step) for number, step in enumerate(WAY, 1) if step.room == room.name]
    return [
        f"{room.name}{suffix}",
        str(room.n_lines),
        *(text for number, step in steps for text in (str(number), step.name, step.function)),
        *(text for name, n_lines in room.files.items() for text in (name, str(n_lines))),
    ]
