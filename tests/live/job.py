"""Runs a job against a small real model on this machine: job.py FRUGAL [--litellm].

Starts the model's server (server.py), with --litellm LiteLLM's proxy before it, and `frugal serve`
with its own PostgreSQL; posts a job with `n` in its space; prints what came of it. Ends with status
1 where the job did not succeed. Standard library only, in the environment that `run` makes.
"""

import contextlib
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).parent
SLOTS = 4
LONGEST_START = 120
LONGEST_JOB = 900

QUESTIONS = [
    ("Paris is the capital of which country?", "France"),
    ("Which colour is a clear sky?", "blue"),
    ("Which animal barks?", "dog"),
    ("How many days has a week? Answer with a number.", "7"),
    ("What do bees make?", "honey"),
    ("Tokyo is the capital of which country?", "Japan"),
    ("Which season comes after winter?", "spring"),
    ("What is the opposite of hot?", "cold"),
]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def get(url: str, body: dict | None = None) -> dict:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def wait_for(url: str, process: subprocess.Popen) -> None:
    end = time.monotonic() + LONGEST_START
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=5).close()
            return
        time.sleep(0.2)
    raise SystemExit(f"{url} was not there within {LONGEST_START} s")


def start(stack: contextlib.ExitStack, log: pathlib.Path, *command: str) -> subprocess.Popen:
    """Starts a program that ends with this one."""
    out = stack.enter_context(log.open("w"))
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT
    )

    def end() -> None:
        process.stdin.close()
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()

    stack.callback(end)
    return process


def litellm(stack: contextlib.ExitStack, folder: pathlib.Path, model: str) -> str:
    """LiteLLM's proxy before the model; its base URL."""
    port = free_port()
    config = {
        "model_list": [
            {
                "model_name": "smollm2",
                "litellm_params": {
                    "model": "openai/smollm2",
                    "api_base": f"{model}/v1",
                    "api_key": "none",
                },
            }
        ]
    }
    # JSON is YAML too.
    (folder / "litellm.yaml").write_text(json.dumps(config))
    command = pathlib.Path(sys.executable).with_name("litellm")
    settings = ["--config", str(folder / "litellm.yaml"), "--host", "127.0.0.1"]
    process = start(stack, folder / "litellm.log", str(command), *settings, "--port", str(port))
    wait_for(f"http://127.0.0.1:{port}/health/liveliness", process)
    return f"http://127.0.0.1:{port}"


def main() -> None:
    frugal = sys.argv[1]
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="frugal-live")))
        # PostgreSQL runs as another user, who has to reach it.
        folder.chmod(0o755)
        port = free_port()
        base = f"http://127.0.0.1:{port}"
        serving = [sys.executable, str(HERE / "server.py"), str(port), str(SLOTS)]
        process = start(stack, folder / "model.log", *serving)
        wait_for(f"{base}/v1/models", process)
        if "--litellm" in sys.argv[2:]:
            base = litellm(stack, folder, base)

        (folder / "frugal.toml").write_text(f"""
[endpoints.local]
base_url = "{base}/v1"
[endpoints.local.models.smollm2]
input_usd_per_million = 0.1
output_usd_per_million = 0.2
[endpoints.local.limits]
requests_in_flight = {SLOTS}
""")
        port = free_port()
        api = f"http://127.0.0.1:{port}"
        config = ["--config", str(folder / "frugal.toml"), "--data-dir", str(folder / "data")]
        listen = ["--listen", f"127.0.0.1:{port}"]
        process = start(stack, folder / "frugal.log", frugal, "serve", *config, *listen)
        wait_for(f"{api}/jobs", process)

        job = {
            "data": {"instances": [{"question": q, "answer": a} for q, a in QUESTIONS]},
            "model": {"endpoint": "local", "model": "smollm2"},
            "prompts": [
                {"name": "plain", "text": "{{ question }}"},
                {"name": "short", "text": "{{ question }} Answer in one word."},
            ],
            "search_space": {
                "temperature": {"float": [0.1, 1.2]},
                "max_tokens": {"int": [8, 48], "scale": "log"},
                "n": {"int": [1, 8]},
            },
            "scoring": {"scorer": {"type": "contains", "expected": "{{ answer }}"}},
            "budgets": {"inference": {"usd": 4e-5}, "optimization": {"usd": 1.6e-3}},
            "search": {"seed": 1},
        }
        begun = time.monotonic()
        url = f"{api}/jobs/{get(f'{api}/jobs', job)['id']}"
        job = get(url)
        while job["state"] in ("queued", "running") and time.monotonic() - begun < LONGEST_JOB:
            time.sleep(1)
            job = get(url)
        report = get(f"{url}/report")
        print(f"{job['state']} ({job['stop_reason']}) after {time.monotonic() - begun:.0f} s")
        print(f"requests {job['progress']['requests']}, spend {json.dumps(job['spend'])}")
        winner = report["winner"]
        print("winner", json.dumps(winner and winner["configuration"]))
        print("utility", json.dumps(job["best"] and job["best"]["utility"]))
        for note in report["notes"]:
            print(f"note {note['code']}: {note['detail']}")
        for known in get(f"{api}/endpoints/local")["models"]:
            print("learned", json.dumps(known))
        if job["state"] != "succeeded":
            raise SystemExit(job["detail"] or "the job did not end in time")


if __name__ == "__main__":
    main()
