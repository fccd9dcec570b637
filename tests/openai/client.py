"""OpenAI's own client against the simulator: what it reads of answers, streams and errors.

Takes the path of the `frugal` program; `.ci/openai` runs it.
"""

import contextlib
import subprocess
import sys

import openai

MODEL = "gemma-3-270m"
CLIENT_ERRORS = {
    "rate_limited": openai.RateLimitError,
    "rate_limited_silent": openai.RateLimitError,
    "insufficient_quota": openai.RateLimitError,
    "500": openai.InternalServerError,
    "502": openai.InternalServerError,
    "503": openai.InternalServerError,
    "529": openai.InternalServerError,
    "498": openai.APIStatusError,
    "context_length": openai.BadRequestError,
    "refused_prompt": openai.PermissionDeniedError,
    "refused_seed": openai.BadRequestError,
    "reset": openai.APIConnectionError,
    "cut": openai.APIConnectionError,
}


@contextlib.contextmanager
def simulator(program, *arguments):
    """A client of a simulator, which ends with the block."""
    command = [program, "simulate", "--bind", "127.0.0.1:0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            base_url = process.stdout.readline().split()[-1]
            # Its own trying again would hide what a fault is read as.
            with openai.OpenAI(base_url=base_url, api_key="none", max_retries=0) as client:
                yield client
        finally:
            process.terminate()


def recorded_prompt(client):
    """The text of a prompt that the simulator has answers to."""
    tasks = client.get("/recordings", cast_to=object)["data"]
    task = next(task for task in tasks if task["task"] == "capitals")
    text = task["prompts"][0]["template"]
    for name, value in task["instances"][0].items():
        text = text.replace("{{ " + name + " }}", str(value))
    return text


def check_answers(client):
    """Chat and completions, in one piece and as a stream, are the same answer."""
    prompt = recorded_prompt(client)
    messages = [{"role": "user", "content": prompt}]
    settings = {"model": MODEL, "n": 2, "max_tokens": 24, "temperature": 0.7, "seed": 5}
    assert MODEL in [model.id for model in client.models.list()]

    whole = client.chat.completions.create(messages=messages, **settings)
    texts = [choice.message.content for choice in whole.choices]
    assert len(texts) == 2 and all(texts), texts
    assert all(choice.message.role == "assistant" for choice in whole.choices)
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    streamed, reasons, roles, usage = ["", ""], [None, None], [None, None], None
    for chunk in client.chat.completions.create(
        messages=messages, stream=True, stream_options={"include_usage": True}, **settings
    ):
        assert chunk.object == "chat.completion.chunk" and chunk.id.startswith("chatcmpl-")
        assert usage is None, "the usage comes last"
        usage = chunk.usage
        for choice in chunk.choices:
            roles[choice.index] = roles[choice.index] or choice.delta.role
            assert roles[choice.index] == "assistant", "the role comes first"
            streamed[choice.index] += choice.delta.content or ""
            reasons[choice.index] = choice.finish_reason
    assert streamed == texts, (streamed, texts)
    assert reasons == [choice.finish_reason for choice in whole.choices]
    assert usage == whole.usage, (usage, whole.usage)

    whole = client.completions.create(prompt=prompt, **settings)
    assert [choice.text for choice in whole.choices] == texts
    streamed, usage = ["", ""], None
    for chunk in client.completions.create(
        prompt=prompt, stream=True, stream_options={"include_usage": True}, **settings
    ):
        usage = chunk.usage
        for choice in chunk.choices:
            streamed[choice.index] += choice.text
    assert streamed == texts, (streamed, texts)
    assert usage == whole.usage, (usage, whole.usage)

    try:
        client.completions.create(prompt=prompt, model="no-such-model")
    except openai.NotFoundError as error:
        assert error.code == "model_not_found", error
    else:
        raise AssertionError("a model that is not there has answered")


def check_error(client, kind, expected, prompt):
    """A fault is the client's exception for it, and counted under its name."""
    try:
        client.completions.create(model=MODEL, prompt=prompt, seed=5)
    except expected:
        pass
    else:
        raise AssertionError(f"{kind} went unnoticed")
    stats = client.get(str(client.base_url.join("/stats")), cast_to=object)
    assert stats["requests"] == 1 and stats["faults"] == {kind: 1}, stats


def main(program):
    with simulator(program) as client:
        prompt = recorded_prompt(client)
        check_answers(client)
    for kind, expected in CLIENT_ERRORS.items():
        with simulator(program, "--faults", f"{kind}=1") as client:
            check_error(client, kind, expected, prompt)
    print(f"openai {openai.__version__}: answers, streams and {len(CLIENT_ERRORS)} faults are as it reads them")


main(sys.argv[1])
