"""What a program does with a client generated from openapi.yaml: posts a job, waits for its end, reads what was found."""

import json
import sys

from frugal_client import Client
from frugal_client.api.jobs import create_job, get_job
from frugal_client.models import Job, JobPost, JobState

ENDS = {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}

client = Client(base_url=sys.argv[1], timeout=60)
job = create_job.sync(client=client, body=JobPost.from_dict(json.load(sys.stdin)))
assert isinstance(job, Job), job
while job.state not in ENDS:
    job = get_job.sync(job.id, client=client, wait=20)
    assert isinstance(job, Job), job
print(json.dumps({"id": str(job.id), "state": job.state.value, "trial": job.best.trial}))
