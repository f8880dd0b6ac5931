"""All that is wrong with a data set, or what is in it; and a repaired copy."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console

from detkds.data import write_coco
from detkds.data.checking.bombs import why_bomb
from detkds.data.checking.faults import Fault
from detkds.data.checking.folders import annotation_files
from detkds.data.checking.pictures import Look
from detkds.data.checking.rules import MAX_BYTES
from detkds.data.checking.twins import Owner, image_files, note_same_content
from detkds.data.coco import Inspection, inspect, load
from detkds.data.repair import NOTHING_NAMED, Named, Repaired, repair
from detkds.errors import ConfigError, DatasetError
from detkds.pipeline import data_screen as screen
from detkds.pipeline import run_config
from detkds.pipeline.addresses import source_of
from detkds.pipeline.data_answer import as_json
from detkds.pipeline.data_set import data_set
from detkds.pipeline.run_config import RunConfig, is_remote
from detkds.pipeline.unlabelled import found
from detkds.storage.artifacts import writing

YAML = (".yaml", ".yml")


@dataclass(frozen=True)
class Source:
    """An annotation file, the folder of its images (None where that is to be looked for), and where its repaired copy goes, if anywhere."""

    annotations: Path
    images: Path | None
    target: Path | None = None


@dataclass
class Books:
    """What one call has found so far, over all annotation files."""

    faults: list[Fault] = field(default_factory=list)
    changes: list[dict[str, object]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    answers: list[dict[str, object]] = field(default_factory=list)
    files: dict[str, dict[Owner, Path]] = field(default_factory=dict)
    classes: dict[str, list[tuple[int, str]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Options:
    """How closely to look (at image files, and at the bytes of those of equal length), and what is known for a repair."""

    look: Look = "headers"
    compare: bool = False
    named: Named = NOTHING_NAMED


def data_check(
    path: Path,
    *,
    images: Path | None,
    options: Options,
    report: Path | None,
    fix: Path | None,
    console: Console,
    answer: Callable[[str], object] | None = None,
    trust: bool = False,
) -> bool:
    """Check a data set and print what was found; returns whether it, or its repaired copy, is sound.

    Args:
        path: an annotation file, a data set's folder, or a run.yaml.
        images: the folder that file_name is relative to; None looks for one near the annotation file.
        report: where the file of all faults goes; None names it after `path` in the current folder, if the screen does not show all.
        fix: where repaired copies go: a .json file for one annotation file, else a folder.
        console: what people read goes here.
        answer: called once with all that was found as JSON text, for programs.
        trust: whether the plugins that a run.yaml names may run.

    Raises:
        ConfigError: options that do not go together, a file that would be overwritten, or plugins that are not trusted.
        DatasetError: `path` leads to no annotation file.
    """
    run = run_config.load(path) if path.suffix in YAML else None
    if run is not None:
        run_config.load_plugins(run, path, trust=trust)
    sources = _with_targets(_sources(path, run, images), path, fix)
    listing = report or Path(f"{path.resolve().stem or 'data'}.faults.jsonl")
    _require_apart(sources, listing)
    books = Books()
    sound = [_one(source, path, options, books, console) for source in sources]
    if all(sound) and run is not None:
        sound.append(_unlabelled(run, console))
    listed = books.counts.total() > screen.SHOWN_FAULTS or bool(books.changes or report)
    if listed:
        _write_listing(listing, books)
        screen.say_listing(listing, books.counts, len(books.faults), console)
    if answer:
        answer(json.dumps({"usable": all(sound), "files": books.answers, "listed_in": str(listing) if listed else None}))
    return all(sound)


def _sources(path: Path, config: RunConfig | None, images: Path | None) -> list[Source]:
    if config is not None:
        if is_remote(config.data.root):
            raise DatasetError(f"{path}: the data are in {config.data.root}, not on this machine; give the path of a copy.")
        root = Path(config.data.root)
        return [Source(root / split.annotations, root / split.images) for split in (config.data.train, config.data.test)]
    if path.is_dir():
        return [Source(found, images) for found in annotation_files(path)]
    return [Source(path, images)]


def _unlabelled(config: RunConfig, console: Console) -> bool:
    """Check the images without labels of a run whose labelled data are sound, and say what was found; tells whether they can be used."""
    source = source_of(config)
    if not source.unlabelled:
        return True
    screen.say(console, f"unlabelled images {source.unlabelled}", "bold")
    if is_remote(source.unlabelled):
        screen.say(console, "  they are not on this machine; the subset stage checks them", "yellow")
        return True
    root = Path(config.data.root)
    train, test = (load(root / split.annotations) for split in (config.data.train, config.data.test))
    try:
        screen.say(console, f"  {found(data_set(source.root), source, train, test)}", "green")
    except DatasetError as error:
        screen.say(console, f"  {error}", "bold red")
        return False
    return True


def _with_targets(sources: Sequence[Source], path: Path, fix: Path | None) -> list[Source]:
    if fix is None:
        return list(sources)
    if fix.suffix == ".json":
        if len(sources) > 1:
            raise ConfigError(f"--fix {fix} names one file, but {path} has {len(sources)} annotation files; name a folder.")
        return [Source(sources[0].annotations, sources[0].images, fix)]
    root = path if path.is_dir() else None
    named = [source.annotations.relative_to(root) if root else Path(source.annotations.name) for source in sources]
    return [Source(source.annotations, source.images, fix / name) for source, name in zip(sources, named, strict=True)]


def _require_apart(sources: Sequence[Source], listing: Path) -> None:
    inputs = {source.annotations.resolve() for source in sources}
    targets = [source.target for source in sources if source.target]
    if listing.resolve() in inputs | {target.resolve() for target in targets} or listing.is_dir():
        raise ConfigError(f"--report {listing} is a folder or another file of this call; name a file of its own.")
    for target in targets:
        if target.exists() or targets.count(target) > 1:
            raise ConfigError(f"--fix would overwrite {target}; name a place where nothing is.")


def _one(source: Source, path: Path, options: Options, books: Books, console: Console) -> bool:
    """Check one annotation file and, if requested, repair it; returns whether a run may use the result."""
    name = str(source.annotations)
    with console.status(screen.line(f"reading {source.annotations.name}")):
        found = inspect(source.annotations, source.images, look=options.look, near=True)
        _note_files(name, found, options, books)
    books.faults += found.findings.faults
    books.counts += found.findings.counts
    screen.say_found(found, options.look, console)
    sound = found.document is not None and found.findings.sound
    if found.document is not None and sound:
        books.classes[name] = [(category["id"], category["name"]) for category in found.document["categories"]]
        screen.say_relations(name, books.files, books.classes, console)
    repaired, refusal = None, ""
    if source.target is not None or (found.document is not None and not sound):
        repaired, refusal = _repaired(found, source.target, path, options, console)
    if repaired is not None and source.target is not None:
        books.changes += [{"file": name, **asdict(change)} for change in repaired.changes]
    books.answers.append(as_json(found, repaired, source.target, refusal))
    return sound if source.target is None else repaired is not None


def _note_files(name: str, found: Inspection, options: Options, books: Books) -> None:
    if found.document is None or found.images is None or "folder.missing" in found.findings.counts:
        return
    books.files[name] = image_files(name, found.document, found.images)
    if options.compare:
        earlier = [files for other, files in books.files.items() if other != name]
        note_same_content(books.files[name], earlier, found.findings)


def _repaired(found: Inspection, target: Path | None, path: Path, options: Options, console: Console) -> tuple[Repaired | None, str]:
    """The repaired copy, written where a target is given, else only offered; or why there is none."""
    try:
        with console.status(screen.line(f"repairing {Path(found.findings.file).name}")):
            repaired = repair(found, look=options.look, named=options.named)
            if target is not None:
                _write_copy(repaired, target)
    except DatasetError as error:
        screen.say_no_copy(error, console)
        return None, str(error)
    if target is None:
        screen.say_remedy(path, found, repaired, console)
    else:
        screen.say_fixed(found, repaired, target, console)
    return repaired, ""


def _write_copy(repaired: Repaired, target: Path) -> None:
    """The copy appears whole or not at all. What is in it was found sound; as a file it must be within the limits of one, too."""
    draft = target.with_name(f".{target.name}.draft")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_coco(draft, repaired.document)
        if draft.stat().st_size > MAX_BYTES or why_bomb(draft):
            raise DatasetError(f"the repaired copy of {target.name} breaks a limit of annotation files; divide the data set.")
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _write_listing(path: Path, books: Books) -> None:
    """One JSON object a line, in ASCII: what is hostile in names stays escaped."""
    with writing(path) as file:
        for fault in books.faults:
            file.write(json.dumps(fault.to_json()).encode() + b"\n")
        for change in books.changes:
            file.write(json.dumps(change).encode() + b"\n")
