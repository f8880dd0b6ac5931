"""Draw the README's two pictures from a run: charts of its page, and the terminal that ran it. Both are SVG without outside fonts.

usage: python docs/pictures.py RESULTS.JSON TERMINAL.TXT
"""

from __future__ import annotations

import sys
from pathlib import Path

from markupsafe import Markup
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from detkds.report import ReportData, figures
from detkds.report.figures import Figure
from detkds.report.page import environment
from detkds.report.results import read_results

PICTURES = Path(__file__).parent / "pictures"
GAP, TITLE = 24, 26
SHEET = Path(__file__).with_suffix(".svg.j2")


def charts(data: ReportData) -> list[Figure]:
    """The two charts that say most: what the detectors reach, and the leaderboard or else the best search."""
    assert data.evaluation is not None
    reached = figures.average_precisions(data.evaluation, data.evaluation.kinds[0])
    best = max((study for study in data.searches if study.gain is not None), key=lambda study: study.gain or 0.0, default=None)
    found = figures.leaderboard(data.leaderboard) if data.leaderboard else figures.search_curve(best) if best else None
    return [chart for chart in (reached, found) if chart is not None]


def page_svg(data: ReportData) -> str:
    """The charts side by side."""
    shown = charts(data)
    width = sum(chart.plot.width for chart in shown) + GAP * (len(shown) + 1)
    height = 60 + max(chart.plot.height for chart in shown)
    drawn = environment().from_string(SHEET.read_text()).render(charts=shown, width=width, height=height, gap=GAP)
    return str(Markup(drawn)).strip() + "\n"


def terminal_svg(text: str, title: str = "make demo") -> str:
    """A terminal of 100 columns with a text."""
    console = Console(record=True, width=100, file=open("/dev/null", "w"))  # noqa: SIM115 - closed with the process
    for line in text.splitlines():
        console.print(Text.from_ansi(line))
    start, end = CONSOLE_SVG_FORMAT.index("@font-face"), CONSOLE_SVG_FORMAT.index(".{unique_id}-matrix")
    return console.export_svg(title=title, code_format=CONSOLE_SVG_FORMAT[:start] + CONSOLE_SVG_FORMAT[end:], unique_id="terminal")


def main(results: str, terminal: str) -> None:
    """Write docs/pictures/page.svg and terminal.svg."""
    PICTURES.mkdir(exist_ok=True)
    (PICTURES / "page.svg").write_text(page_svg(read_results(Path(results).read_text(), results)))
    (PICTURES / "terminal.svg").write_text(terminal_svg(Path(terminal).read_text()))


if __name__ == "__main__":
    main(*sys.argv[1:])
