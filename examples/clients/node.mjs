// Submits a job, follows its events through every cut of the connection, and prints its report.
//   FRUGAL_URL=http://127.0.0.1:8080 FRUGAL_API_KEY=frugal_… node node.mjs job.json
// Events go to stderr, the report to stdout. It needs Node 20 and nothing else.
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { randomUUID } from "node:crypto";

const url = process.env.FRUGAL_URL ?? "http://127.0.0.1:8080";
const key = process.env.FRUGAL_API_KEY;
const ends = new Set(["job.succeeded", "job.failed", "job.cancelled"]);
const later = new Set([408, 429, 503]);

/** An answer; asked for again where the server could not be reached or says that it may answer later. */
async function ask(path, { headers, ...request } = {}) {
  for (let attempt = 0; ; attempt++) {
    let answer;
    try {
      const own = key ? { Authorization: `Bearer ${key}` } : {};
      answer = await fetch(url + path, { ...request, headers: { ...own, ...headers } });
    } catch (error) {
      if (attempt === 9) throw error;
      await sleep(1000);
      continue;
    }
    if (answer.ok) return answer;
    if (!later.has(answer.status) || attempt === 9) throw new Error(`${answer.status}: ${await answer.text()}`);
    await sleep(1000 * Number(answer.headers.get("Retry-After") ?? 1));
  }
}

/** The frames of an event stream, each once it is whole. */
async function* frames(body) {
  let rest = "";
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + text).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = block.split("\n").map((line) => line.split(/: ?(.*)/s).slice(0, 2));
      yield Object.fromEntries(fields);
    }
  }
}

/** The events of a job, each once. */
async function* follow(path) {
  for (let last = 0; ; await sleep(1000)) {
    const headers = { Accept: "text/event-stream", "Last-Event-ID": String(last) };
    const stream = await ask(`${path}/events`, { headers });
    try {
      for await (const frame of stream.body ? frames(stream.body) : []) {
        if (frame.data === undefined) continue;
        last = Number(frame.id);
        yield JSON.parse(frame.data);
        if (ends.has(frame.event)) return;
      }
    } catch (error) {
      // The connection broke: the next one goes on after the last event.
      if (!(error instanceof TypeError)) throw error;
    }
  }
}

// With a key of its own the request may be sent again until it is answered, and makes one job.
const headers = { "Content-Type": "application/json", "Idempotency-Key": randomUUID() };
const posted = await ask("/jobs", { method: "POST", headers, body: await readFile(process.argv[2]) });
const path = posted.headers.get("Location");
console.error(url + path);
for await (const event of follow(path)) console.error(event.seq, event.type);
console.log(await (await ask(`${path}/report`)).text());
