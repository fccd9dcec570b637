// What the server offers, as its description has it, and one way of asking for it.

import { EventSourceParserStream } from "eventsource-parser/stream";
import type { components } from "./schema";

type Schemas = components["schemas"];
export type Job = Schemas["Job"];
export type JobSummary = Schemas["JobSummary"];
export type JobState = Schemas["JobState"];
export type Trial = Schemas["Trial"];
export type Report = Schemas["Report"];
export type JobEvent = Schemas["Event"];
export type Configuration = Schemas["Configuration"];
export type Estimate = Schemas["Estimate"];
export type JobEstimate = Schemas["JobEstimate"];
export type Endpoint = Schemas["Endpoint"];
export type Dataset = Schemas["Dataset"];
export type Problem = Schemas["Problem"];
export type FieldError = Schemas["FieldError"];
export type Validation = Schemas["Validation"];
export type Importance = Schemas["Importance"];
export type Winner = Schemas["Winner"];
export type Rows = Schemas["TrialResponses"];

export interface Page<T> {
  data: T[];
  has_more: boolean;
  next?: string | null;
}

const KEY = "frugal-key";

/** The key that requests carry. It lives as long as the tab. */
export const key = {
  get: (): string | null => sessionStorage.getItem(KEY),
  set: (value: string): void => {
    if (value === "") {
      sessionStorage.removeItem(KEY);
    } else {
      sessionStorage.setItem(KEY, value);
    }
  },
};

/** An answer that is none: the server's words, or that it cannot be reached. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly faults: FieldError[] = [],
  ) {
    super(detail);
  }
}

const heardOfKey = new Set<() => void>();

/** Calls back whenever the server asks for a key. Gives what ends that. */
export function onKeyWanted(call: () => void): () => void {
  heardOfKey.add(call);
  return () => void heardOfKey.delete(call);
}

async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  const bearer = key.get();
  if (bearer !== null) {
    headers.set("authorization", `Bearer ${bearer}`);
  }
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers });
  } catch (error) {
    if (init.signal?.aborted === true) {
      throw error;
    }
    throw new Refused(0, "unreachable", "The server cannot be reached. This page tries again by itself.");
  }
  if (response.ok || response.status === 304) {
    return response;
  }
  if (response.status === 401) {
    heardOfKey.forEach((call) => call());
  }
  const problem = await response.json().then(
    (body) => body as Problem,
    () => null,
  );
  throw new Refused(
    response.status,
    problem?.code ?? "unknown",
    problem?.detail ?? `The server answered ${response.status}.`,
    problem?.errors ?? [],
  );
}

/** What stands at a path. */
export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await ask(path, { headers: { accept: "application/json" }, signal });
  return (await response.json()) as T;
}

/** Every page of a list, given on as they come. */
export async function* pages<T>(path: string, signal?: AbortSignal): AsyncGenerator<T[]> {
  const url = new URL(path, location.href);
  url.searchParams.set("limit", "100");
  for (;;) {
    const page = await get<Page<T>>(url.pathname + url.search, signal);
    yield page.data;
    if (!page.has_more || page.next == null) {
      return;
    }
    url.searchParams.set("cursor", page.next);
  }
}

/** Sends a document and gives the answer; nothing where the server has nothing to say. */
export async function send<T>(
  method: "POST" | "PATCH" | "DELETE",
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<T> {
  const type = method === "PATCH" ? "application/merge-patch+json" : "application/json";
  const response = await ask(path, {
    method,
    headers: body === undefined ? headers : { "content-type": type, ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** A text that stands at a path, in the form that is asked for. */
export async function text(path: string, accept: string): Promise<string> {
  const response = await ask(path, { headers: { accept } });
  return response.text();
}

/** A file that stands at a path. */
export async function file(path: string): Promise<Blob> {
  const response = await ask(path);
  return response.blob();
}

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

/**
 * Follows a job's events from the number after `last` until the job has ended or the signal says so, and
 * goes on by itself where the connection breaks. A stream by `fetch` and no `EventSource`: the key goes with it.
 */
export async function follow(
  path: string,
  last: number,
  heard: (event: JobEvent) => void,
  connected: (is: boolean) => void,
  signal: AbortSignal,
): Promise<void> {
  let seen = last;
  let wait = FIRST_WAIT_MS;
  while (!signal.aborted) {
    try {
      const response = await ask(path, {
        headers: { accept: "text/event-stream", "last-event-id": String(seen) },
        signal,
      });
      if (response.status === 204 || response.body === null) {
        connected(true);
        return;
      }
      connected(true);
      wait = FIRST_WAIT_MS;
      const frames = response.body
        .pipeThrough(new TextDecoderStream() as unknown as TransformStream<Uint8Array, string>)
        .pipeThrough(new EventSourceParserStream());
      const reader = frames.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) {
          break;
        }
        const number = Number(value.id);
        if (value.id !== undefined && Number.isSafeInteger(number)) {
          seen = number;
          heard(JSON.parse(value.data) as JobEvent);
        }
      }
    } catch (error) {
      if (signal.aborted) {
        return;
      }
      if (error instanceof Refused && error.code === "events_pruned") {
        // Older events are gone, as the operator's limits have it: what is left is read.
        const next = /after=(\d+)/.exec(error.message)?.[1];
        if (next === undefined) {
          return;
        }
        seen = Number(next);
        continue;
      }
      if (error instanceof Refused && error.status >= 400 && error.status < 500 && error.status !== 429) {
        return;
      }
      connected(false);
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(wait * 2, LONGEST_WAIT_MS);
  }
}
