"""The requests of a simulated user of the demo application, and the checks of the responses.

A response with a wrong status, content, type or `X-Served-By` counts as a failure, and so does a missing response.
The user requests every route of the application; the weights are those of a site with mostly fast responses.

    locust -f locustfile.py --host http://127.0.0.1:8001 --served-by sync
"""

import json
import pathlib
import re

from locust import FastHttpUser, between, events, task

SITE = pathlib.Path(__file__).resolve().parents[2] / "www"
DOCUMENTS = {name: (SITE / name).read_bytes() for name in ("index.html", "style.css", "architecture.svg")}
CITIES = ["Berlin", "Oslo", "Lima"]
# How many primes are below n (OEIS A000720): some 2 ms of the server's time.
N, PRIMES_BELOW_N = 30_000, 3245


@events.init_command_line_parser.add_listener
def arguments(parser):
    parser.add_argument("--served-by", default="a?sync", help="pattern of the name in X-Served-By")


class Visitor(FastHttpUser):
    """A user with short pauses and one keep-alive connection."""

    wait_time = between(0.1, 0.5)

    @task(30)
    def hello(self):
        self.ask("GET", "/hello", content="text/plain", right=lambda reply: reply.text == "Hello, World!")

    @task(10)
    def static(self):
        name, expected = self.one_of(list(DOCUMENTS.items()))
        self.ask("GET", f"/static/{name}", name="/static/…", right=lambda reply: reply.content == expected)

    @task(10)
    def echo_json(self):
        said = {"user": id(self), "words": ["naïve", "☃", '"quoted"'], "nested": {"empty": [], "null": None}}
        self.ask("POST", "/echo", name="/echo (JSON)", json=said, right=lambda reply: reply.json() == said)

    @task(10)
    def echo_form(self):
        self.ask("POST", "/echo", name="/echo (form)", data={"name": "Ada Lovelace", "note": "50 % + 1 = ü"},
                 right=lambda reply: reply.json() == {"name": "Ada Lovelace", "note": "50 % + 1 = ü"})

    @task(20)
    def io_task(self):
        self.ask("GET", "/io_task?ms=50", name="/io_task (50 ms)", right=lambda reply: reply.json()["waited_ms"] == 50)

    @task(5)
    def cpu_task(self):
        self.ask("GET", f"/cpu_task?n={N}", name=f"/cpu_task ({N:,})",
                 right=lambda reply: reply.json()["primes_below_n"] == PRIMES_BELOW_N)

    @task(5)
    def weather(self):
        self.ask("GET", f"/weather?city={self.one_of(CITIES)}", name="/weather",
                 right=lambda reply: {"place", "current"} <= reply.json().keys())

    @task(5)
    def absent(self):
        self.ask("GET", "/nowhere", status=404, content="application/problem+json",
                 right=lambda reply: reply.json()["status"] == 404)

    @task(2)
    def absent_page(self):
        self.ask("GET", "/nowhere", name="/nowhere (HTML)", status=404, content="text/html",
                 headers={"Accept": "text/html"}, right=lambda reply: "<h1>404" in reply.text)

    @task(1)
    def error_task(self):
        self.ask("GET", "/error_task", status=500, content="application/problem+json",
                 right=lambda reply: reply.json()["status"] == 500)

    def ask(self, method, target, right, status=200, content="", **more):
        """Sends one request and checks the response."""
        with self.client.request(method, target, catch_response=True, **more) as reply:
            if wrong := self.fault(reply, right, status, content):
                reply.failure(wrong)
            else:
                reply.success()  # Otherwise locust counts every 404 as a failure.

    def fault(self, reply, right, status, content):
        """Returns what is wrong with the response, or None."""
        if reply.status_code != status:
            return f"{reply.status_code or reply.error} instead of {status}"
        server = reply.headers.get("X-Served-By", "")
        if not re.fullmatch(rf"(?:{self.environment.parsed_options.served_by}); worker=\d+", server):
            return f"X-Served-By is {server!r}"
        if not reply.headers.get("Content-Type", "").startswith(content):
            return f"{reply.headers.get('Content-Type')} instead of {content}"
        try:
            return None if right(reply) else "wrong content"
        except (ValueError, LookupError) as error:
            return f"wrong content: {error}"

    def one_of(self, choices):
        """Returns the choices in turn."""
        self.turn = getattr(self, "turn", -1) + 1
        return choices[self.turn % len(choices)]
