"""The picture of the packages: it shows all packages and the steps of a record, and its names exist in the code."""

import importlib
import re
from operator import attrgetter
from xml.etree import ElementTree

import pytest

from img import architecture, packages
from img.packages import COLOURS, Package, direct_imports, module_name, package_name, packages_of, read_code
from img.paths import IMG
from img.steps import STEPS, Step
from img.style import FONTS
from tests.support.client import ROOT
from tests.unit.test_img import LEAST_CONTRAST, contrast

REDRAW = "draw it again: .venv/bin/python -m img packages"
SVG = "{http://www.w3.org/2000/svg}"

CODE = {
    "user_classifier": "import classifier.users.intake\nfrom classifier import errors\nfrom avro import errors as e\n",
    "classifier": "",
    "classifier.errors": "import kafka\n",
    "classifier.users": "",
    "classifier.users.intake": "from classifier.kafka import source\nfrom classifier.users.table import Table\n",
    "classifier.users.table": "def rows():\n    from classifier.errors import Error\n",
    "classifier.kafka": "",
    "classifier.kafka.source": "from classifier.errors import Error\n",
}
"""A small client; two of its modules have the name of a package from elsewhere."""


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_each_step_names_a_function_that_exists(step: Step) -> None:
    function = attrgetter(step.function)(importlib.import_module(step.module))
    assert callable(function)


def test_steps_lead_from_consume_to_commit() -> None:
    assert STEPS[0].name == "consume"
    assert STEPS[-1].name == "produce, commit"


@pytest.mark.parametrize("name", packages.PICTURES)
def test_all_packages_are_drawn(name: str) -> None:
    drawn = {group.get("id") for group in groups(name)}
    assert drawn == set(packages_of(read_code(ROOT))), REDRAW


@pytest.mark.parametrize("name", packages.PICTURES)
def test_each_module_in_the_picture_exists(name: str) -> None:
    found = packages_of(read_code(ROOT))
    drawn = {group.get("id", ""): set(", ".join(texts(group)[1:]).replace(",", " ").split()) for group in groups(name)}
    unknown = {package: modules - set(found[package].modules) for package, modules in drawn.items()}
    assert set().union(*unknown.values()) == set(), REDRAW


@pytest.mark.parametrize("name", packages.PICTURES)
def test_the_picture_names_each_step_and_its_function(name: str) -> None:
    root = picture(name)
    drawn = [text.text for text in root.iter(f"{SVG}text") if text.get("class") == "step"]
    assert drawn == [word for step in STEPS for word in step.name.split()], REDRAW
    functions = [text.text for text in root.iter(f"{SVG}text") if text.get("class") == "function"]
    assert functions == [f"{step.module}.{step.function}".removeprefix("classifier.") for step in STEPS], REDRAW
    assert len([path for path in root.iter(f"{SVG}path") if path.get("class") == "next"]) == len(STEPS) - 1


def test_modules_have_their_dotted_names() -> None:
    paths = [ROOT / "classifier" / "__init__.py", ROOT / "classifier" / "kafka" / "source.py"]
    assert [module_name(path.relative_to(ROOT)) for path in paths] == ["classifier", "classifier.kafka.source"]


def test_modules_belong_to_packages() -> None:
    assert {package_name(module, CODE) for module in CODE} == {"user_classifier", "classifier", "users", "kafka"}
    assert package_name("classifier.errors", CODE) == package_name("classifier", CODE) == "classifier"
    assert package_name("classifier.users", CODE) == package_name("classifier.users.table", CODE) == "users"


def test_packages_are_read_from_imports_each_before_those_it_imports() -> None:
    assert [*packages_of(CODE).values()] == [
        Package("user_classifier", ("user_classifier",), frozenset({"users", "classifier"})),
        Package("users", ("intake", "table"), frozenset({"kafka", "classifier"})),
        Package("kafka", ("source",), frozenset({"classifier"})),
        Package("classifier", ("errors",), frozenset()),
    ]


def test_an_import_that_follows_from_others_is_not_drawn() -> None:
    assert sorted(direct_imports(packages_of(CODE))) == [
        ("kafka", "classifier"),
        ("user_classifier", "users"),
        ("users", "kafka"),
    ]


def test_packages_that_import_each_other_are_an_error() -> None:
    code = CODE | {"classifier.kafka.source": "from classifier.users import table\n"}
    with pytest.raises(RuntimeError, match=r"^packages import each other: (kafka, users, kafka|users, kafka, users)$"):
        packages_of(code)


@pytest.mark.parametrize("scheme", COLOURS)
def test_the_picture_has_enough_contrast(scheme: str) -> None:
    colours = COLOURS[scheme]
    pairs = [(text, ground) for text in ("ink", "line") for ground in ("paper", "outside", "client")]
    pairs.append(("number", "badge"))
    weak = [(text, ground) for text, ground in pairs if contrast(colours[text], colours[ground]) < LEAST_CONTRAST]
    assert weak == []


@pytest.mark.parametrize("name", [*architecture.PICTURES, *packages.PICTURES])
def test_a_diagram_names_fonts_of_the_width_it_was_laid_out_with(name: str) -> None:
    fonts = re.findall(r'font-family="([^"]*)"', (IMG / name).read_text(encoding="utf-8"))
    assert set(fonts) == {FONTS}


def picture(name: str) -> ElementTree.Element:
    """The root element of a picture."""
    return ElementTree.parse(IMG / name).getroot()


def groups(name: str) -> list[ElementTree.Element]:
    """The rows of a picture, one for each package."""
    return [group for group in picture(name).iter(f"{SVG}g") if group.get("class") == "package"]


def texts(element: ElementTree.Element) -> list[str]:
    """The lines of text in an element."""
    return [text.text or "" for text in element.iter(f"{SVG}text")]
