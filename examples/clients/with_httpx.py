"""Submits a job, follows its events through every cut of the connection, and prints its report, with httpx.

    pip install httpx
    FRUGAL_URL=http://127.0.0.1:8080 FRUGAL_API_KEY=frugal_… python with_httpx.py job.json

Events go to stderr, the report to stdout.
"""

import asyncio
import json
import os
import pathlib
import sys
import uuid

import httpx

ENDS = {"job.succeeded", "job.failed", "job.cancelled"}
# Longer than the 15 s after which a quiet stream says that it is there.
SILENCE = 60


class Frugal:
    """A client of one server."""

    def __init__(self, url, key=None):
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.http = httpx.AsyncClient(base_url=url, headers=headers, timeout=SILENCE)

    async def ask(self, method, path, **request):
        """An answer; asked for again where the server could not be reached or says that it may answer later."""
        for attempt in range(10):
            try:
                answer = await self.http.request(method, path, **request)
            except httpx.TransportError:
                if attempt == 9:
                    raise
                await asyncio.sleep(1)
                continue
            if answer.status_code not in (408, 429, 503) or attempt == 9:
                break
            await asyncio.sleep(float(answer.headers.get("Retry-After", 1)))
        if answer.is_error:
            raise SystemExit(f"{answer.status_code}: {answer.text}")
        return answer

    async def submit(self, body):
        """Posts a job and gives its path. With a key of its own the request makes one job, however often it is sent."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())}
        return (await self.ask("POST", "/jobs", content=body, headers=headers)).headers["Location"]

    async def follow(self, path):
        """The events of a job, each once."""
        last = 0
        while True:
            try:
                headers = {"Accept": "text/event-stream", "Last-Event-ID": str(last)}
                async with self.http.stream("GET", f"{path}/events", headers=headers) as stream:
                    if stream.is_error and stream.status_code not in (408, 429, 503):
                        raise SystemExit(f"{stream.status_code}: {(await stream.aread()).decode()}")
                    frame = {}
                    async for line in stream.aiter_lines():
                        if line:
                            name, _, value = line.partition(":")
                            frame[name] = value.removeprefix(" ")
                            continue
                        if "data" in frame:
                            last = int(frame["id"])
                            yield json.loads(frame["data"])
                            if frame["event"] in ENDS:
                                return
                        frame = {}
            except httpx.TransportError:
                pass
            await asyncio.sleep(1)


async def main():
    frugal = Frugal(os.environ.get("FRUGAL_URL", "http://127.0.0.1:8080"), os.environ.get("FRUGAL_API_KEY"))
    async with frugal.http:
        path = await frugal.submit(pathlib.Path(sys.argv[1]).read_bytes())
        print(path, file=sys.stderr)
        async for event in frugal.follow(path):
            print(event["seq"], event["type"], file=sys.stderr, flush=True)
        print((await frugal.ask("GET", f"{path}/report")).text)


if __name__ == "__main__":
    asyncio.run(main())
