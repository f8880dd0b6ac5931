"""A page in headless Chromium, driven through its DevTools protocol: open, click, look."""

from __future__ import annotations

import base64
import io
import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.request import urlopen

import websocket
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0"),
    "--remote-allow-origins=*",
)
START_S = 60


class Page:
    """One open page."""

    def __init__(self, socket: websocket.WebSocket) -> None:
        self._socket, self._numbers = socket, itertools.count(1)

    def call(self, method: str, parameters: Any = MappingProxyType({})) -> dict[str, Any]:
        """The result of a method of the protocol; what the browser reports meanwhile is passed over."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": dict(parameters)}))
        while (answer := json.loads(self._socket.recv())).get("id") != number:
            pass
        assert "error" not in answer, answer
        found: dict[str, Any] = answer["result"]
        return found

    def click(self, x: float, y: float) -> None:
        """Press and release the left button of the mouse."""
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1})

    def look(self) -> Image.Image:
        """What is on the screen."""
        return Image.open(io.BytesIO(base64.b64decode(self.call("Page.captureScreenshot")["data"]))).convert("RGB")


@contextmanager
def opened(address: str, folder: Path, width: int = 1280, height: int = 800) -> Iterator[Page]:
    """A page at an address, in a browser of its own with its profile in `folder`."""
    assert CHROMIUM is not None
    command = [CHROMIUM, *QUIET, f"--user-data-dir={folder}", f"--window-size={width},{height}", address]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as browser:
        try:
            socket = websocket.create_connection(_debugger(folder, browser), timeout=START_S)
            yield Page(socket)
            socket.close()
        finally:
            browser.kill()


def _debugger(folder: Path, browser: subprocess.Popen[bytes]) -> str:
    """The address of the page's debugger, once the browser has written its port."""
    end = time.monotonic() + START_S
    while time.monotonic() < end and browser.poll() is None:
        port = folder / "DevToolsActivePort"
        if port.is_file() and (lines := port.read_text().split()):
            with urlopen(f"http://127.0.0.1:{lines[0]}/json") as answer:
                pages = [target for target in json.load(answer) if target["type"] == "page"]
            if pages:
                return str(pages[0]["webSocketDebuggerUrl"])
        time.sleep(0.1)
    raise AssertionError("Chromium did not start")
