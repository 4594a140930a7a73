"""Servers and browsers for the checks: a server on a free port, and Chromium with the DevTools protocol over a pipe."""

import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager

START_SECONDS, PAGE_SECONDS = 10, 60

# The sandbox does not work for root. The other options prevent background activity and connections to other hosts.
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage --disable-sync --no-first-run
    --disable-breakpad --disable-background-networking --disable-component-update --no-proxy-server
    --remote-debugging-pipe about:blank""".split() + ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]


@contextmanager
def serving(command):
    """Runs a server on a free port, and yields its origin."""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        try:
            line = Frames(server.stdout.fileno(), b"\n").next(time.monotonic() + START_SECONDS).decode()
            yield "http://" + (re.search(r"127\.0\.0\.1:\d+|$", line).group() or sys.exit(f"no address in: {line}"))
        except (TimeoutError, EOFError) as error:
            sys.exit(f"the server did not start: {error}")
        finally:
            server.kill()


@contextmanager
def browsing(chromium, note):
    """Runs a new browser with an empty tab, and yields it."""
    # Chromium reads commands from descriptor 3 and writes results to 4; a shell redirects them.
    (commands, to_browser), (from_browser, results) = os.pipe(), os.pipe()
    command = ["sh", "-c", f'exec "$0" "$@" 3<&{commands} 4>&{results}', chromium, *FLAGS]
    with tempfile.TemporaryDirectory(prefix="browser-check-", ignore_cleanup_errors=True) as home, subprocess.Popen(
            [*command, f"--user-data-dir={home}/profile"], env={**os.environ, "HOME": home, "TMPDIR": home},
            pass_fds=(commands, results), start_new_session=True, stderr=subprocess.DEVNULL) as process:
        os.close(commands), os.close(results)
        try:
            browser = Browser(to_browser, Frames(from_browser, b"\0"), note)
            tab = browser.call("Target.createTarget", url="about:blank")
            browser.session = browser.call("Target.attachToTarget", **tab, flatten=True)
            yield browser
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # The browser has nothing to save; kill its child processes, too.
            os.close(to_browser), os.close(from_browser)


class Browser:
    """The DevTools protocol: JSON messages over a pipe, each ended by a NUL."""

    def __init__(self, commands, results, note):
        self.commands, self.results, self.note = commands, results, note
        self.session, self.calls, self.deadline = {}, 0, time.monotonic() + PAGE_SECONDS

    def call(self, method, **params):
        self.calls += 1
        message = {"id": self.calls, "method": method, "params": params} | self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while (result := self.hear()).get("id") != self.calls:
            pass
        if "error" in result:
            raise RuntimeError(f"{method}: {result['error']['message']}")
        return result["result"]

    def hear(self):
        """Waits for one message, and handles it if it is an event."""
        message = json.loads(self.results.next(self.deadline))
        if "method" in message:
            self.note(message["method"], message["params"])
        return message


class Frames:
    """Reads frames that end with a delimiter from a descriptor, each with a deadline."""

    def __init__(self, descriptor, delimiter):
        self.descriptor, self.delimiter, self.rest = descriptor, delimiter, b""

    def next(self, deadline):
        while self.delimiter not in self.rest:
            if not select.select([self.descriptor], [], [], max(0, deadline - time.monotonic()))[0]:
                raise TimeoutError("timed out")
            piece = os.read(self.descriptor, 1 << 20)
            if not piece:
                raise EOFError("unexpected end of input")
            self.rest += piece
        frame, _, self.rest = self.rest.partition(self.delimiter)
        return frame
