"""Submits a job, follows its events through every cut of the connection, and prints its report.

    FRUGAL_URL=http://127.0.0.1:8080 FRUGAL_API_KEY=frugal_… python stdlib.py job.json

Events go to stderr, the report to stdout. It needs Python 3.9 and nothing else.
"""

import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid

URL = os.environ.get("FRUGAL_URL", "http://127.0.0.1:8080")
KEY = os.environ.get("FRUGAL_API_KEY")
ENDS = {"job.succeeded", "job.failed", "job.cancelled"}
# Longer than the 15 s after which a quiet stream says that it is there.
SILENCE = 60
BROKEN = (urllib.error.URLError, http.client.HTTPException, OSError)


def ask(path, body=None, **headers):
    """An answer; asked for again where the server could not be reached or says that it may answer later."""
    if KEY:
        headers["Authorization"] = f"Bearer {KEY}"
    if body is not None:
        headers["Content-Type"] = "application/json"
    for attempt in range(10):
        try:
            return urllib.request.urlopen(urllib.request.Request(URL + path, body, headers), timeout=SILENCE)
        except urllib.error.HTTPError as error:
            if error.code not in (408, 429, 503) or attempt == 9:
                raise SystemExit(f"{error.code}: {error.read().decode()}") from None
            time.sleep(float(error.headers.get("Retry-After", 1)))
        except BROKEN:
            if attempt == 9:
                raise
            time.sleep(1)


def frames(lines):
    """The frames of an event stream: its fields, once it is whole."""
    fields = {}
    for line in lines:
        line = line.decode().rstrip("\n")
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif fields:
            yield fields
            fields = {}


def follow(path):
    """The events of a job, each once."""
    last = 0
    while True:
        try:
            with ask(f"{path}/events", Accept="text/event-stream", **{"Last-Event-ID": str(last)}) as stream:
                for frame in frames(stream):
                    if "data" not in frame:
                        continue
                    last = int(frame["id"])
                    yield json.loads(frame["data"])
                    if frame["event"] in ENDS:
                        return
        except BROKEN:
            pass
        time.sleep(1)


def main():
    with open(sys.argv[1], "rb") as file:
        body = file.read()
    # With a key of its own the request may be sent again until it is answered, and makes one job.
    with ask("/jobs", body, **{"Idempotency-Key": str(uuid.uuid4())}) as answer:
        path = answer.headers["Location"]
    print(URL + path, file=sys.stderr)
    for event in follow(path):
        print(event["seq"], event["type"], file=sys.stderr, flush=True)
    with ask(f"{path}/report") as answer:
        json.dump(json.load(answer), sys.stdout, indent=2)


if __name__ == "__main__":
    main()
