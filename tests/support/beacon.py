"""Signs that an attack has worked: a server that it would call, and a reader who touches everything."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from playwright.sync_api import Page

from support.clock import MOMENT, milliseconds


class Beacon:
    """A server that remembers what is asked of it."""

    def __init__(self) -> None:
        requests = self.requests = list[str]()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                requests.append(self.path)
                self.send_response(204)
                self.send_header("Access-Control-Allow-Origin", "*")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def provoke(page: Page) -> None:
    """Do what a reader may do: open, hover, focus, click on all that is no link to elsewhere."""
    page.evaluate(
        """() => {
            const own = [...document.querySelectorAll("main *")];
            for (const node of own) {
                if (node.tagName === "DETAILS") node.open = true;
                for (const type of ["pointerover", "mouseover", "focus", "load", "error", "toggle"])
                    node.dispatchEvent(new Event(type, {bubbles: true}));
                if (node.closest("a[href]")) continue;
                // The elements of MathML have no method for it.
                if (node.click) node.click();
                else node.dispatchEvent(new MouseEvent("click", {bubbles: true, cancelable: true}));
            }
        }"""
    )
    page.wait_for_timeout(milliseconds(MOMENT))
