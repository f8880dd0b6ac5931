"""`detkds data ...`: data sets before a run."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from detkds.cli.app import app
from detkds.cli.options import DEFAULT_HOME, EmbeddedS3, Home, Trust, console

data = typer.Typer(help="Data sets before a run.", no_args_is_help=True)
app.add_typer(data, name="data")


class Boxes(StrEnum):
    """What the four numbers of a box are."""

    sides = "sides"
    corners = "corners"
    centres = "centres"


class Frame(StrEnum):
    """The frame of a picture that annotations were made in."""

    stored = "stored"
    upright = "upright"


@data.command()
def check(
    path: Annotated[Path, typer.Argument(help="An annotation file (COCO instances), a data set's folder, or a run.yaml.", metavar="PATH")],
    images: Annotated[Path | None, typer.Option(help="Folder of the images; default: the one near the file that has them.")] = None,
    open_images: Annotated[bool, typer.Option("--open-images", help="Decode every image, not only its header.")] = False,
    hash: Annotated[bool, typer.Option("--hash", help="Find image files with the same bytes, also in several sets.")] = False,
    report: Annotated[
        Path | None, typer.Option(help="File that lists all faults; default: ./NAME.faults.jsonl if there are more than 20.")
    ] = None,
    fix: Annotated[Path | None, typer.Option(help="Write repaired annotations to this new .json file or folder.", metavar="OUT")] = None,
    boxes: Annotated[
        Boxes | None, typer.Option(help="What the boxes are: sides (x, y, width, height), corners (x1, y1, x2, y2) or centres.")
    ] = None,
    frame: Annotated[
        Frame | None, typer.Option(help="The frame that annotations of pictures with an EXIF orientation were made in: stored or upright.")
    ] = None,
    trust_config: Trust = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """List every fault of a data set, or show what it contains. Exits 0 if a run can use it (or its repaired copy), 65 if not."""
    from rich.console import Console

    from detkds.data.repair import Named
    from detkds.pipeline.data_check import Options, data_check

    named = Named(boxes.value if boxes else None, frame.value if frame else None)
    options = Options("pixels" if open_images else "headers", hash, named)
    screen = Console(quiet=True) if as_json else console
    answer = typer.echo if as_json else None
    if not data_check(path, images=images, options=options, report=report, fix=fix, console=screen, answer=answer, trust=trust_config):
        raise typer.Exit(65)


class Format(StrEnum):
    """The format of a data set's labels."""

    yolo = "yolo"
    voc = "voc"


@data.command()
def convert(
    folder: Annotated[Path, typer.Argument(help="Folder of a data set with labels of YOLO or XML of Pascal VOC.", metavar="FOLDER")],
    to: Annotated[Path | None, typer.Option(help="Folder for the annotation files; default: FOLDER/annotations.")] = None,
    format: Annotated[Format | None, typer.Option("--from", help="The format; by default it is recognised.")] = None,
) -> None:
    """Write COCO annotations of a data set in another format, one file per split, and check them. Images stay where they are."""
    from detkds.pipeline.data_convert import data_convert

    data_convert(folder, to, format.value if format else None, console)


@data.command()
def load(
    source: Annotated[str, typer.Argument(help="Address of the data set: s3://bucket/key.", metavar="SOURCE")],
    folder: Annotated[Path, typer.Argument(help="Folder that receives its files.", metavar="FOLDER")],
    home: Home = DEFAULT_HOME,
    embedded_s3: EmbeddedS3 = False,
) -> None:
    """Copy a data set from the store to a disk, such as a volume of a cluster. Started again, it copies only what is missing."""
    from detkds.pipeline.data_load import data_load
    from detkds.pipeline.local_store import local_store

    with local_store(home, console, embedded=embedded_s3):
        data_load(source, folder, console)


@data.command()
def push(
    folder: Annotated[Path, typer.Argument(help="Folder of a COCO-format data set.", metavar="FOLDER")],
    address: Annotated[str, typer.Argument(help="s3://bucket/prefix; default: data/NAME of the store.", metavar="ADDRESS")] = "",
    no_check: Annotated[bool, typer.Option("--no-check", help="Store the files without checking annotations and images.")] = False,
    store: Annotated[str, typer.Option(help="The bucket for the default address.", envvar="DETKDS_STORE")] = "s3://detkds",
    home: Home = DEFAULT_HOME,
    embedded_s3: EmbeddedS3 = False,
) -> None:
    """Check a data set and upload it to the store, with an index. Started again, it uploads only what is missing or has changed."""
    from detkds.pipeline.data_push import data_push

    target = address or f"{store}/data/{folder.resolve().name}"
    data_push(folder, target, check=not no_check, home=home, console=console, embedded_s3=embedded_s3)
