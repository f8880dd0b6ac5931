"""What `detkds data check` shows. Nothing that came from a data set is taken for markup or reaches the terminal unescaped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from detkds.data.checking.faults import Findings
from detkds.data.checking.names import has_hidden
from detkds.data.checking.overview import Overview, overview
from detkds.data.checking.pictures import Look
from detkds.data.checking.rules import RULES, TOLERATED
from detkds.data.checking.twins import Owner, shared
from detkds.data.coco import Inspection
from detkds.data.repair import BARE, Repaired

SHOWN_FAULTS = 20
SHOWN_CLASSES = 20
_LOOKED: dict[Look, str] = {
    "names": "all there",
    "headers": "all there with the size declared",
    "pixels": "all decode",
}
_FILE_RULES = {"image.missing-file", "image.unreadable", "image.size-differs", "image.scans", "image.too-large", "image.file-name"}
_BARE = "an image keeps an annotation"


def line(text: str) -> str:
    """Text for places of rich that take markup, with hidden characters escaped."""
    return escape(inert(text))


def inert(text: object) -> str:
    """A text on one line, without control characters and marks that are invisible or reorder it."""
    plain = str(text)
    return "".join(ascii(each)[1:-1] if has_hidden(each) else each for each in plain)


def say(console: Console, text: str, style: str = "") -> None:
    """One line, its paths unbroken."""
    console.print(Text(inert(text), style=style), soft_wrap=True)


def say_found(found: Inspection, look: Look, console: Console) -> None:
    """The counts of a data set that can be used, and the faults of any."""
    findings = found.findings
    say(console, findings.file, "bold")
    if found.document is not None:
        faulty = any(rule.startswith("folder.") or rule in _FILE_RULES for rule in findings.counts)
        if found.images is None:
            say(console, "  image files: no folder near the file has them, so only the annotations are checked; give --images", "yellow")
        elif not faulty:
            say(console, f"  image files: {found.images}, {_LOOKED[look]}")
    if found.document is not None and findings.sound:
        _say_overview(overview(found.document), console)
    if findings.counts:
        _say_faults(findings, console)
    else:
        say(console, "  no faults", "green")


def say_relations(
    name: str, files: Mapping[str, Mapping[Owner, Path]], classes: Mapping[str, list[tuple[int, str]]], console: Console
) -> None:
    """What a data set has in common with those before it, and should not; and the other way round."""
    for other in files.keys() - {name}:
        if name in files and (count := shared(files[name], files[other])):
            say(console, f"  {count:,} of its images are also in {other}: no two sets that measure each other may share any", "yellow")
    first = next(iter(classes))
    if classes[name] != classes[first]:
        say(console, f"  its classes are not those of {first} with the same ids and order: a run needs them equal", "yellow")


def _say_overview(counts: Overview, console: Console) -> None:
    parts = [f"{counts.images:,} images", f"{counts.objects:,} objects", f"{len(counts.by_class):,} classes"]
    parts += [f"{count:,} {what}" for count, what in ((counts.masks, "masks"), (counts.crowd, "crowd regions")) if count]
    say(console, f"  {', '.join(parts)}")
    if counts.empty_images:
        say(console, f"  images without an object: {counts.empty_images:,}")
    if counts.unused:
        first, rest = ", ".join(counts.unused[:10]), " ..." * (len(counts.unused) > 10)
        say(console, f"  classes without an object: {len(counts.unused)} ({first}{rest})", "yellow")
    console.print(_class_table(counts))


def _class_table(counts: Overview) -> Table:
    table = Table(title="objects by class and box size", title_style="italic", title_justify="left")
    table.add_column("class", overflow="fold")
    for column in ("S < 32²", "M < 96²", "L", "all"):
        table.add_column(column, justify="right")
    ranked = sorted(counts.by_class.items(), key=lambda item: -sum(item[1]))
    for name, row in ranked[:SHOWN_CLASSES]:
        table.add_row(Text(inert(name)), *(f"{cell:,}" for cell in (*row, sum(row))))
    rest = [row for _, row in ranked[SHOWN_CLASSES:]]
    if rest:
        cells = [sum(column) for column in zip(*rest, strict=True)]
        table.add_row(f"{len(rest)} more", *(f"{cell:,}" for cell in (*cells, sum(cells))))
    total = [sum(column) for column in zip(*counts.by_class.values(), strict=True)]
    table.add_section()
    table.add_row("all", *(f"{cell:,}" for cell in (*total, sum(total))))
    return table


def _say_faults(findings: Findings, console: Console) -> None:
    serious = sum(count for rule, count in findings.counts.items() if rule not in TOLERATED)
    warned = findings.counts.total() - serious
    said = [f"{count:,} {what}{'s' * (count > 1)}" for count, what in ((serious, "fault"), (warned, "warning")) if count]
    say(console, f"  {', '.join(said)}", "bold red" if serious else "yellow")
    ordered = sorted(findings.faults, key=lambda fault: fault.tolerated)
    table = Table(title=f"the first {SHOWN_FAULTS}" if len(ordered) > SHOWN_FAULTS else None, title_style="italic", title_justify="left")
    table.add_column("what", no_wrap=True)
    table.add_column("rule", no_wrap=True)
    table.add_column("found", overflow="fold")
    for fault in ordered[:SHOWN_FAULTS]:
        table.add_row(fault.subject, Text(fault.rule, style="yellow" if fault.tolerated else "red"), Text(inert(fault.detail)))
    console.print(table)
    if len(ordered) > SHOWN_FAULTS:
        console.print(_rule_table(findings.counts))


def _rule_table(counts: Counter[str]) -> Table:
    table = Table(title="all, by rule", title_style="italic", title_justify="left")
    table.add_column("count", justify="right")
    table.add_column("rule", no_wrap=True)
    table.add_column("what is right", overflow="fold")
    for rule, count in sorted(counts.items(), key=lambda item: (item[0] in TOLERATED, -item[1])):
        table.add_row(f"{count:,}", Text(rule, style="yellow" if rule in TOLERATED else "red"), Text(RULES[rule]))
    return table


def say_listing(path: Path, counts: Counter[str], listed: int, console: Console) -> None:
    """Where all faults are listed, and whether any are only counted."""
    rest = f", the first {listed:,} of {counts.total():,}" if listed < counts.total() else ""
    say(console, f"all listed in {path}, one per line{rest}")


def say_remedy(path: Path, found: Inspection, repaired: Repaired, console: Console) -> None:
    """What a repaired copy would hold, and how to get it."""
    say(console, f"  a repaired copy would hold {_kept(found, repaired)}: detkds data check {path} --fix OUT")
    _say_thinned(repaired, console)


def say_no_copy(error: Exception, console: Console) -> None:
    """Why a data set cannot be repaired."""
    say(console, f"  no copy: {error}", "bold red")


def say_fixed(found: Inspection, repaired: Repaired, target: Path, console: Console) -> None:
    """What a repair changed and what it dropped, a line each thing, and where the copy is."""
    for title, dropped in (("changed", False), ("dropped", True)):
        counts = Counter((change.rule, change.done) for change in repaired.changes if change.dropped == dropped)
        if counts:
            say(console, f"  {title}: {counts.total():,}")
        for (rule, done), count in counts.items():
            said = _BARE if rule == BARE else RULES[rule]
            say(console, f"    {count:,} x {rule}: {done}   ({said})")
    say(console, f"  repaired copy: {target} with {_kept(found, repaired)}; image files were not copied or changed", "green")
    _say_thinned(repaired, console)


def _say_thinned(repaired: Repaired, console: Console) -> None:
    if repaired.thinned:
        images = "1 image loses" if repaired.thinned == 1 else f"{repaired.thinned:,} images lose"
        rest = "their objects would be taught as background; correct the source if you can"
        say(console, f"  {images} some annotations in it: {rest}", "yellow")


def _kept(found: Inspection, repaired: Repaired) -> str:
    assert found.document is not None  # what was repaired could be read
    kinds = ("images", "annotations", "categories")
    return ", ".join(f"{len(repaired.document[key]):,} of {len(found.document[key]):,} {key}" for key in kinds)
