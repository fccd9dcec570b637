"""Holds the running server against openapi.yaml with schemathesis.

Takes the path of the `frugal` program and `short` or `long`; `.ci/schemathesis` runs it.
"""

import json
import pathlib
import subprocess
import sys

import house

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ENDS = ("succeeded", "failed", "cancelled")
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,unsupported_method,use_after_free"
)
# What is tried: every bound of a job's description by itself takes thousands of requests.
LENGTHS = {
    "short": ["--phases", "examples,fuzzing,stateful", "--max-examples", "5", "--seed", "1", "--no-shrink"],
    "long": ["--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "100"],
}
# Nobody listens there.
HOOK = "http://127.0.0.1:9/"


def small_job():
    """A job that ends within seconds."""
    job = house.job("fuzzed", 0.0005)
    return {**job, "data": {"instances": house.rows()[:6], "holdout": 0.34}, "limits": {"trials": 2}}


def evaluation():
    """An evaluation of two configurations."""
    body = {name: value for name, value in small_job().items() if name in ("name", "data", "model", "scoring")}
    body["data"] = {"instances": house.rows()[:6]}
    body["prompt"] = "{{ question }}"
    body["configurations"] = [{"temperature": 0.0, "n": 1, "max_tokens": 16}, {"temperature": 1.0, "n": 2, "max_tokens": 16}]
    return body


VALIDATION = {
    "scorer": {"type": "numeric", "expected": "{{ answer }}"},
    "rows": [{"question": "What is 3 + 1?", "answer": "4"}],
    "responses": [["It is 4.", "It is 5."]],
}


def world(server):
    """What is there to be asked for, and bodies that are taken."""
    made = {"job": small_job(), "evaluation": evaluation(), "validation": VALIDATION, "hook": HOOK, "endpoints": ["local"]}
    for kind, what in (("jobs", "job"), ("evaluations", "evaluation")):
        ids = [server.ask(f"/{kind}", made[what])["id"] for _ in range(2)]
        for one in ids:
            house.until("the end", lambda: server.ask(f"/{kind}/{one}")["state"] in ENDS)
        made[kind] = ids
    made["datasets"] = [server.ask("/datasets?name=sums", house.rows())["name"]]
    made["webhooks"] = [server.ask("/webhooks", {"url": HOOK})["id"]]
    return made


def main(program, length, *options):
    with house.folder("schemathesis") as folder:
        with house.server(program, folder, '[api]\nwebhook_targets = ["127.0.0.1"]\n') as server:
            environment = {
                **house.environment(),
                "FRUGAL_WORLD": json.dumps(world(server)),
                "SCHEMATHESIS_HOOKS": "hooks",
                "PYTHONPATH": str(HERE),
            }
            command = [
                pathlib.Path(sys.executable).with_name("schemathesis"), "run", ROOT / "openapi.yaml",
                "--url", server.url, "--checks", CHECKS, *LENGTHS[length],
                "--request-timeout", "90", "--suppress-health-check", "all", "--warnings", "off", "--continue-on-failure",
                *options,
            ]
            return subprocess.run(list(map(str, command)), env=environment, cwd=folder).returncode


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
