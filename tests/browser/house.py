"""What the tests in a browser and those of clients stand on: an endpoint, a server, and a wire that can be cut."""

import contextlib
import http.server
import json
import os
import pathlib
import re
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

SECONDS = 60


def until(what, condition, seconds=SECONDS):
    """Waits until a condition gives something, and gives that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come within {seconds} s")


def environment():
    """What programs are started with that speak to servers here: no proxy stands between."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


class Wire:
    """Forwards connections to a port, and cuts all of them when asked to."""

    def __init__(self, port):
        self.target = ("127.0.0.1", port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.ends = set()
        self.is_cut = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                with self.lock:
                    refused = self.is_cut
                if refused:
                    client.close()
                    continue
                server = socket.create_connection(self.target)
                with self.lock:
                    self.ends |= {client, server}
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            # What waits on it in the other direction wakes by the first, so that the second leaves nobody behind.
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        with self.lock:
            self.ends -= {source, sink}

    def cut(self):
        """Breaks every connection and refuses new ones."""
        with self.lock:
            self.is_cut = True
            for end in self.ends:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def mend(self):
        """Takes connections again."""
        with self.lock:
            self.is_cut = False


class Server:
    """A server with one worker, and what its API answers."""

    def __init__(self, port):
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, path, body=None, method=None):
        """An answer of the API, as JSON."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"} if data else {}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=SECONDS) as response:
            return json.load(response)

    def state(self, job):
        """The state of a job."""
        return self.ask(f"/jobs/{job}")["state"]

    def ended(self, job, seconds=SECONDS):
        """Waits until a job has ended, and gives what it is then."""

        def found():
            said = self.ask(f"/jobs/{job}")
            return said["state"] in ("succeeded", "failed", "cancelled") and said

        return until("the end of a job", found, seconds)


def _answers():
    """A small model's answers to sums: right as often as a temperature lets it, at greater length when it thinks."""
    lines = []
    for one in range(20):
        question = f"What is {one + 3} + {2 * one + 1}?"
        right = str(3 * one + 4)
        wrong = [{"text": f"It is {one + off}.", "weight": 0.3} for off in (1, 7, 9)]
        lines.append({"contains": f"{question} Think.", "answers": [{"text": f"First I add them. It is {right}.", "weight": 1.5}, *wrong]})
        lines.append({"contains": question, "answers": [{"text": f"{right}.", "weight": 0.4}, *wrong]})
    return "\n".join(map(json.dumps, lines))


def rows():
    """The rows that the endpoint has answers to."""
    return [{"question": f"What is {one + 3} + {2 * one + 1}?", "answer": str(3 * one + 4)} for one in range(20)]


def job(name, dollars=0.02):
    """A job over these rows that lasts some seconds."""
    return {
        "name": name,
        "data": {"instances": rows(), "holdout": 0.4},
        "model": "small",
        "prompts": [
            {"name": "plain", "text": "{{ question }}"},
            {"name": "think", "text": "{{ question }} Think."},
        ],
        "search_space": {
            "temperature": {"float": [0, 1.5]},
            "max_tokens": {"int": [8, 64], "scale": "log"},
            "n": {"int": [1, 8], "scale": "log"},
        },
        "scoring": {"scorer": {"type": "numeric", "expected": "{{ answer }}"}, "reduce": "majority"},
        "budgets": {"inference": {"usd": 0.0002}, "optimization": {"usd": dollars}},
        "search": {"requests_in_flight": 4},
    }


def event_types():
    """The types of events, as the description of the API has them."""
    description = pathlib.Path(__file__).resolve().parents[2] / "openapi.yaml"
    return sorted(set(re.findall(r"^ +- ((?:job|trial|best|budget|endpoint|validation)\.\w+)$", description.read_text(), re.MULTILINE)))


class _Empty(http.server.BaseHTTPRequestHandler):
    """An empty page, whatever is asked for."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()

    def log_message(self, *_):
        """Says nothing."""


@contextlib.contextmanager
def page():
    """An empty page with an origin of its own, which it gives, until the end of the block."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Empty) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


CONFIGURATION = """
data_dir = "{folder}/data"
workers = {workers}
log = "warn"
[endpoints.local]
base_url = "{endpoint}"
[endpoints.local.models.small]
input_usd_per_million = 0.5
output_usd_per_million = 1.5
"""


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextlib.contextmanager
def folder(what):
    """A folder for tests of something, until the end of the block."""
    with tempfile.TemporaryDirectory(prefix=f"frugal-{what}-") as name:
        made = pathlib.Path(name)
        # PostgreSQL runs as another user than root.
        made.chmod(0o755)
        yield made


@contextlib.contextmanager
def server(program, folder, more="", latency=40, workers=1):
    """A server over an endpoint of known answers that takes so many milliseconds, with more in its configuration; both
    end with the block."""
    folder = pathlib.Path(folder)
    (folder / "answers.jsonl").write_text(_answers())
    simulate = [program, "simulate", "--bind", "127.0.0.1:0", "--latency", str(latency), "--data", folder / "answers.jsonl", "--log", "warn"]
    with subprocess.Popen(simulate, stdout=subprocess.PIPE, text=True) as endpoint:
        try:
            address = endpoint.stdout.readline().split()[-1]
            configuration = CONFIGURATION.format(folder=folder, endpoint=address, workers=workers)
            (folder / "frugal.toml").write_text(configuration + more)
            port = _free_port()
            serve = [program, "serve", "--config", folder / "frugal.toml", "--listen", f"127.0.0.1:{port}"]
            with subprocess.Popen(serve, stdout=subprocess.DEVNULL) as process:
                try:
                    found = Server(port)

                    def is_ready():
                        assert process.poll() is None, "the server ended"
                        with contextlib.suppress(urllib.error.URLError, ConnectionError):
                            return found.ask("/readyz")["status"] == "ok"

                    until("the server", is_ready)
                    yield found
                finally:
                    process.terminate()
                    process.wait(SECONDS)
        finally:
            endpoint.terminate()
