"""Plugins: modules found by name, by entry points or typed in; what they registered decides a run's identity."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from detkds import plugins
from detkds.errors import ConfigError
from detkds.genome import SLOTS, Genome, Knowledge
from detkds.pipeline import workers
from detkds.search.space import SearchSpace

pytestmark = pytest.mark.usefixtures("own_words")
HUBER = """
import detkds

@detkds.distance("huber", formula=r"mean of $\\sqrt{1 + (s - t)^2} - 1$")
def huber(student, teacher):
    return (1 + (student - teacher).square()).sqrt() - 1
"""
Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes modules into a folder that is on PYTHONPATH; they are forgotten when the test ends."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)

    def module(name: str, text: str) -> None:
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    yield module
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "") or "").startswith(str(tmp_path)):
            del sys.modules[name]


def test_without_plugins_identities_have_no_entry() -> None:
    assert plugins.identity() == {}
    assert plugins.loaded() == ""


def test_a_module_is_loaded_by_name(write: Write) -> None:
    write("my_words", HUBER)
    plugins.load("my_words")
    plugins.load(["my_words"])  # again costs nothing
    assert SLOTS[Knowledge.GLOBAL]["distance"][-1] == "huber"
    assert SearchSpace.preset().slots[Knowledge.LOGITS]["distance"][-1] == "huber"
    (name, digest) = plugins.loaded().split("@")
    assert (name, len(digest)) == ("my_words", 16)
    assert plugins.identity() == {"plugins": f"my_words@{digest}"}


def test_the_identity_follows_the_sources_of_the_whole_package(write: Write, tmp_path: Path) -> None:
    write("my_package/__init__", "")
    write("my_package/numbers", "HALF = 0.5")
    write("my_package/words", HUBER.replace("import detkds", "import detkds\nfrom my_package.numbers import HALF"))
    plugins.load("my_package.words")
    before = plugins.identity()
    write("my_package/numbers", "HALF = 0.25")
    assert plugins.identity() != before


def test_words_that_were_typed_in_have_an_identity_too() -> None:
    import detkds

    @detkds.distance("typed", formula="s - t")
    def typed(student: object, teacher: object) -> object:
        return (student - teacher).abs()  # type: ignore[operator]

    assert __name__ in plugins.identity()["plugins"]
    assert plugins.loaded() == ""  # another process cannot import what has no module


def test_other_sources_than_where_the_run_was_started_are_refused(write: Write) -> None:
    write("my_words", HUBER)
    plugins.load("my_words")
    told = plugins.loaded()
    plugins.load(told)
    with pytest.raises(ConfigError, match=r"the plugin my_words has the sources [0-9a-f]{16} here and 0123456789abcdef where the run was"):
        plugins.load("my_words@0123456789abcdef")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no module my_words; install its package or put its folder on PYTHONPATH, for a cluster in the image"),
        ("import no_such_thing", "the plugin my_words needs the module no_such_thing, which is not installed"),
        ("1 / 0", "the plugin my_words failed while it was imported: ZeroDivisionError: division by zero"),
        ("x = 1", "the plugin my_words registers neither a word nor a head"),
        (HUBER.replace('"huber"', '"l1"'), "the plugin my_words is refused: the global distance 'l1' is a word of DetKDS already"),
    ],
)
def test_what_cannot_be_loaded_is_one_line(write: Write, text: str | None, message: str) -> None:
    if text is not None:
        write("my_words", text)
    with pytest.raises(ConfigError, match=message) as refused:
        plugins.load("my_words")
    assert "\n" not in str(refused.value)


def test_installed_packages_announce_their_modules(write: Write) -> None:
    """An installed package is a folder NAME-VERSION.dist-info beside its modules."""
    write("my_words", HUBER)
    info = Path(sys.path[0]) / "my_words-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-words\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[detkds.words]\nhuber = my_words\n\n[detkds.heads]\nmine = my_words:MyHead\n")
    assert plugins.installed() == ("my_words",)


def test_a_process_that_is_started_loads_the_same(write: Write) -> None:
    write("my_words", HUBER)
    plugins.load("my_words")
    code = "from detkds import plugins; plugins.inherit(); from detkds.genome import SLOTS; print(SLOTS['global']['distance'][-1])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "huber"


class Counts:
    """An objective that parses its candidate again, as a process without the plugin cannot."""

    def __call__(self, recipe: object, goal: object) -> object:
        from detkds.objective import Outcome

        return Outcome(float(len(str(Genome.parse(str(recipe))))))


def test_workers_load_the_same(write: Write) -> None:
    from detkds.genome import Recipe
    from detkds.objective import Goal

    write("my_words", HUBER)
    plugins.load("my_words")
    recipe = Recipe.parse("global: none > none > none | huber x 2")
    with workers.hired(2, Counts) as crew:
        assert crew is not None
        assert crew(recipe, Goal()).score == len(str(recipe))


def test_the_face_finds_what_is_installed_unless_a_run_says_what_to_load(write: Write) -> None:
    write("my_words", HUBER)
    info = Path(sys.path[0]) / "my_words-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-words\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[detkds.words]\nhuber = my_words\n")
    face = "import detkds; print('huber' in str(detkds.Genome.parse('global: none > none > none | huber')))"
    told = f"from detkds import plugins; plugins.load(''); {face}"
    assert subprocess.run([sys.executable, "-c", face], capture_output=True, text=True, check=True).stdout.strip() == "True"
    refused = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=False)
    assert "unknown global distance 'huber'" in refused.stderr


def test_the_space_shows_a_plugins_words_with_their_formulas(write: Write) -> None:
    from typer.testing import CliRunner

    from detkds.cli.app import app

    write("my_words", HUBER)
    result = CliRunner().invoke(app, ["space", "--plugin", "my_words"], env={"COLUMNS": "160"})
    assert result.exit_code == 0, result.output
    assert "huber" in result.output
    assert "√(1 + (s −" in result.output  # the table wraps the rest where the terminal is narrow
