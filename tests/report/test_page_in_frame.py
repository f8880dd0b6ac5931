"""The page in a frame as KFP's UI shows it: `srcdoc` with `sandbox="allow-scripts"` (seen on a live KFP 2.17.0)."""

from __future__ import annotations

import html
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from chromium import CHROMIUM, Page, opened
from PIL import Image, ImageChops

from detkds.report import ReportData, render

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt install chromium)")
LINK = (60, 154)
"""Where the fourth link of the contents is, 1280 pixels wide."""


@contextmanager
def served(page: str) -> Iterator[tuple[str, list[str]]]:
    """A server whose every page holds `page` in a frame: its address, and the paths that were asked for so far."""
    style = "border:0;position:fixed;inset:0;width:100%;height:100%"
    outer = f'<!DOCTYPE html><body><iframe style="{style}" sandbox="allow-scripts" srcdoc="{html.escape(page)}"></iframe>'.encode()
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/favicon.ico":
                asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(outer)))
            self.end_headers()
            self.wfile.write(outer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/run", asked
        server.shutdown()


def settled(page: Page, unlike: Image.Image | None = None) -> Image.Image:
    """The screen when it has come to rest and is not `unlike`; the last one after half a minute."""
    end, last = time.monotonic() + 30, page.look()
    while time.monotonic() < end:
        time.sleep(0.5)
        now = page.look()
        still = ImageChops.difference(now, last).getbbox() is None
        blank = len(now.getcolors(1 << 24)) < 20
        if still and not blank and (unlike is None or ImageChops.difference(now, unlike).getbbox()):
            return now
        last = now
    return last


def test_a_link_of_the_contents_scrolls_within_the_frame(data: ReportData, tmp_path: Path) -> None:
    with served(render(data)) as (address, asked), opened(address, tmp_path / "profile") as page:
        before = settled(page)
        page.click(*LINK)
        after = settled(page, unlike=before)
    assert ImageChops.difference(before, after).getbbox() is not None, "the link did nothing"
    assert len(after.getcolors(1 << 24)) > 20, "the frame is blank"
    assert asked == ["/run"], "the frame has left the page"


def test_without_its_script_the_frame_leaves_the_page(data: ReportData, tmp_path: Path) -> None:
    # What was seen in KFP, and the proof that the test above can fail.
    without = render(data).replace("script-src 'sha256-", "script-src 'sha256-0")
    with served(without) as (address, asked), opened(address, tmp_path / "profile") as page:
        settled(page)
        page.click(*LINK)
        end = time.monotonic() + 30
        while len(asked) < 2 and time.monotonic() < end:
            time.sleep(0.2)
    assert asked == ["/run", "/run"]
