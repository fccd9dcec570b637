"""What schemathesis cannot make up by itself: jobs that the server takes, and names of what is there.

A description says what shape a job has, and not that its prompt uses fields of its rows. So bodies that are to be good are, mostly, those of a
job that runs, with what was made up for the fields that stand alone; and paths lead, mostly, to what is there.
"""

import json
import os
import random

import schemathesis

WORLD = json.loads(os.environ["FRUGAL_WORLD"])
# Fields of a job that may be anything that the description allows, whatever the others are.
FREE = ("name", "labels", "priority", "seed")
BODIES = {
    "/jobs": "job",
    "/jobs/estimate": "job",
    "/evaluations": "evaluation",
    "/evaluations/estimate": "evaluation",
    "/scorers/validate": "validation",
}
PLACES = {
    "/jobs/{id}": ("id", "jobs"),
    "/evaluations/{id}": ("id", "evaluations"),
    "/webhooks/{id}": ("id", "webhooks"),
    "/datasets/{name}": ("name", "datasets"),
    "/endpoints/{name}": ("name", "endpoints"),
}
LOTS = random.Random(int(os.environ.get("FRUGAL_SEED", "1")))


@schemathesis.serializer("application/jsonl", "application/x-ndjson", "text/csv")
def rows(context, value):
    """Rows, which are described as a text."""
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


@schemathesis.hook
def before_call(context, case, kwargs):
    """Puts what is good into the place of what was made up, in most requests that are to be good."""
    meta = case.meta
    if meta is None or meta.generation.mode != schemathesis.GenerationMode.POSITIVE:
        return
    method, path = case.method.upper(), case.operation.path
    # Messages go to nobody.
    if method == "POST" and path == "/webhooks" and isinstance(case.body, dict):
        case.body = {**case.body, "url": WORLD["hook"]}
        return
    if method == "POST" and path in BODIES and LOTS.random() < 0.8:
        made_up = case.body if isinstance(case.body, dict) else {}
        case.body = {**WORLD[BODIES[path]], **{name: made_up[name] for name in FREE if name in made_up}}
        case.media_type = "application/json"
    # A chain of requests goes on with what it was answered; and what is deleted would not be there for others.
    if meta.phase.name.value == "stateful" or method == "DELETE":
        return
    for prefix, (name, kind) in PLACES.items():
        if path.startswith(prefix) and LOTS.random() < 0.8:
            case.path_parameters[name] = LOTS.choice(WORLD[kind])
    if "number" in case.path_parameters and LOTS.random() < 0.8:
        case.path_parameters["number"] = LOTS.randrange(4)
