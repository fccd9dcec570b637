// The form of a new job: rows, models, prompts, scoring, budgets, and what it may cost as one types.

import { useEffect, useMemo, useState } from "preact/hooks";
import { get, Refused, send, type Dataset, type Endpoint, type FieldError, type Job, type JobEstimate, type Page, type Validation } from "./api";
import { amount, count, figure, unitOf, within } from "./format";
import { usePolled } from "./live";
import { Act, Copy, Panel, Trouble } from "./parts";
import { fieldsOf, inTemplate, readRows, type Row } from "./rows";
import { fault } from "./words";

const SETTLE_MS = 500;
const PREVIEWED = 3;

interface ScorerKind {
  type: string;
  says: string;
  scorer: (expected: string) => Record<string, unknown>;
}

const SCORERS: ScorerKind[] = [
  { type: "numeric", says: "the last number is right", scorer: (expected) => ({ type: "numeric", expected }) },
  { type: "exact", says: "the answer is the same text", scorer: (expected) => ({ type: "exact", expected }) },
  { type: "contains", says: "the answer contains the text", scorer: (expected) => ({ type: "contains", expected }) },
  { type: "choice", says: "the letter of the choice is right", scorer: (expected) => ({ type: "choice", expected, choices: ["A", "B", "C", "D"] }) },
  { type: "math", says: "mathematically equal", scorer: (expected) => ({ type: "math", expected }) },
  { type: "json", says: "the same JSON, field by field", scorer: (expected) => ({ type: "json", expected }) },
  { type: "token_f1", says: "the same words (F1)", scorer: (expected) => ({ type: "token_f1", expected }) },
  { type: "rouge", says: "ROUGE with a reference", scorer: (expected) => ({ type: "rouge", expected }) },
];

interface Prompt {
  name: string;
  text: string;
}

interface Draft {
  name: string;
  text: string;
  dataset: string;
  models: string[];
  prompts: Prompt[];
  scorer: string;
  inference: string;
  optimization: string;
  unit: "usd" | "tokens";
  holdout: string;
  maxTokens: string;
  most: string;
  reduce: string;
}

/** What is made of the n answers to a row. */
const REDUCERS: [string, string][] = [
  ["expected_success", "any of its n answers is good"],
  ["majority", "the answer that most of n give is good"],
  ["mean", "an answer taken at random is good"],
];

/** The smallest `max_tokens` that is looked at, where the largest is above it. */
const FEWEST_TOKENS = 16;

const EMPTY: Draft = {
  name: "",
  text: "",
  dataset: "",
  models: [],
  prompts: [{ name: "plain", text: "" }],
  scorer: "",
  inference: "",
  optimization: "1",
  unit: "usd",
  holdout: "0.3",
  maxTokens: "500",
  most: "20",
  reduce: "expected_success",
};

/** The document to post; the scorer's own faults are the form's. */
function jobOf(draft: Draft, rows: Row[], scorer: unknown): Record<string, unknown> {
  const budget = (text: string): Record<string, number> | undefined => (text.trim() === "" ? undefined : { [draft.unit]: Number(text) });
  return {
    ...(draft.name.trim() === "" ? {} : { name: draft.name.trim() }),
    data: {
      ...(draft.dataset === "" ? { instances: rows } : { dataset: draft.dataset }),
      ...(Number(draft.holdout) > 0 ? { holdout: Number(draft.holdout) } : {}),
    },
    models: draft.models.map((one) => {
      const [endpoint, model] = JSON.parse(one) as [string, string];
      return { endpoint, model };
    }),
    prompts: draft.prompts,
    search_space: {
      temperature_or_top_p: { one_of: [{ temperature: { float: [0, 2] } }, { top_p: { float: [0, 1] } }] },
      max_tokens: upTo(Math.min(FEWEST_TOKENS, Number(draft.maxTokens)), Number(draft.maxTokens)),
      n: upTo(1, Number(draft.most)),
    },
    scoring: { scorer, reduce: draft.reduce },
    budgets: { inference: budget(draft.inference), optimization: budget(draft.optimization) },
  };
}

/** A whole number on a scale of powers, or the one that there is. */
function upTo(low: number, high: number): unknown {
  return high > low ? { int: [low, high], scale: "log" } : high;
}

function parsed(text: string): { value?: unknown; fault?: string } {
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    return { fault: String(error) };
  }
}

export function NewJob() {
  const [draft, setDraft] = useState<Draft>(EMPTY);
  const set = (more: Partial<Draft>): void => setDraft((old) => ({ ...old, ...more }));
  const [endpoints] = usePolled((signal) => get<Page<Endpoint>>("/endpoints", signal), 0, "endpoints");
  const [datasets] = usePolled((signal) => get<Page<Dataset>>("/datasets?limit=100", signal), 0, "datasets");
  const [stored] = usePolled(
    (signal) => (draft.dataset === "" ? Promise.resolve(undefined) : get<Dataset>(`/datasets/${encodeURIComponent(draft.dataset)}`, signal)),
    0,
    draft.dataset,
  );
  const inline = useMemo(() => readRows(draft.text), [draft.text]);
  const rows: Row[] = draft.dataset === "" ? inline.rows : (((stored as { sample?: Row[] } | undefined)?.sample ?? []) as Row[]);
  const fields = fieldsOf(rows);
  const scorer = parsed(draft.scorer === "" ? "null" : draft.scorer);
  const job = jobOf(draft, rows, scorer.value);
  const document = JSON.stringify(job, null, 2);
  const ready =
    (draft.dataset !== "" || rows.length > 0) && draft.models.length > 0 && draft.prompts.every((prompt) => prompt.text !== "") && scorer.value != null;

  return (
    <main class="form">
      <h1>New job</h1>
      <div class="wide">
        <Panel title="Rows" say={draft.dataset !== "" ? `The rows of ${draft.dataset}.` : rows.length === 0 ? "Paste or drop JSONL, a JSON array or a table with a header." : `${count(rows.length, "row")} with ${fields.join(", ")}.`}>
          <label class="field">
            Name of the job <input value={draft.name} maxLength={200} onInput={(event) => set({ name: event.currentTarget.value })} />
          </label>
          {(datasets?.data.length ?? 0) > 0 && (
            <label class="field">
              A dataset{" "}
              <select value={draft.dataset} onChange={(event) => set({ dataset: event.currentTarget.value })}>
                <option value="">none: rows below</option>
                {datasets?.data.map((one) => (
                  <option key={one.id} value={one.name}>
                    {one.name} ({count(one.rows, "row")})
                  </option>
                ))}
              </select>
            </label>
          )}
          {draft.dataset === "" && (
            <label class="field">
              Rows
              <textarea
                rows={8}
                spellcheck={false}
                placeholder={'{"question": "What is 6 + 6?", "answer": "12"}'}
                value={draft.text}
                onInput={(event) => set({ text: event.currentTarget.value })}
                onDragOver={(event) => event.preventDefault()}
                onDrop={(event) => {
                  const file = event.dataTransfer?.files[0];
                  if (file !== undefined) {
                    event.preventDefault();
                    void file.text().then((text) => set({ text }));
                  }
                }}
              />
              <input type="file" aria-label="A file of rows" accept=".jsonl,.json,.csv,.tsv,.txt" onChange={(event) => void event.currentTarget.files?.[0]?.text().then((text) => set({ text }))} />
            </label>
          )}
          {inline.fault !== undefined && draft.dataset === "" && (
            <p class="refused" role="alert">
              {inline.fault}
            </p>
          )}
        </Panel>
        <Models endpoints={endpoints?.data ?? []} chosen={draft.models} onChange={(models) => set({ models })} />
        <Prompts prompts={draft.prompts} fields={fields} rows={rows} onChange={(prompts) => set({ prompts })} />
        <Scoring draft={draft} fields={fields} rows={rows} fault={draft.scorer === "" ? undefined : scorer.fault} scorer={scorer.value} onChange={set} />
      </div>
      <div class="side">
        <Panel title="Budgets" say="What one row may cost, and what the whole search may.">
          <label class="field">
            In{" "}
            <select value={draft.unit} onChange={(event) => set({ unit: event.currentTarget.value as "usd" | "tokens" })}>
              <option value="usd">dollars</option>
              <option value="tokens">tokens</option>
            </select>
          </label>
          <label class="field">
            A row at most <input type="number" min="0" step="any" value={draft.inference} placeholder="no limit" onInput={(event) => set({ inference: event.currentTarget.value })} />
          </label>
          <label class="field">
            All together at most <input type="number" min="0" step="any" value={draft.optimization} onInput={(event) => set({ optimization: event.currentTarget.value })} />
          </label>
          <label class="field">
            Tokens of an answer at most <input type="number" min="1" step="1" value={draft.maxTokens} onInput={(event) => set({ maxTokens: event.currentTarget.value })} />
          </label>
          <label class="field">
            Answers to a row at most <input type="number" min="1" step="1" value={draft.most} onInput={(event) => set({ most: event.currentTarget.value })} />
          </label>
          <label class="field">
            Share of rows held out <input type="number" min="0" max="0.9" step="0.05" value={draft.holdout} onInput={(event) => set({ holdout: event.currentTarget.value })} />
          </label>
        </Panel>
        <Cost document={document} ready={ready} />
        <Panel title="Post it">
          <div class="row">
            <Act
              label="Post the job"
              does={async () => {
                const posted = await send<Job>("POST", "/jobs", job);
                location.hash = `#/jobs/${posted.id}`;
              }}
            />
            <Copy text={document}>Copy JSON</Copy>
            <Copy text={`curl ${location.origin}/jobs -H 'content-type: application/json' -d @- <<'JOB'\n${document}\nJOB`}>Copy curl</Copy>
          </div>
          <pre class="document" role="region" aria-label="The job as JSON" tabIndex={0}>{document.length > 20_000 ? `${document.slice(0, 20_000)}\n…` : document}</pre>
        </Panel>
      </div>
    </main>
  );
}

function Models({ endpoints, chosen, onChange }: { endpoints: Endpoint[]; chosen: string[]; onChange: (models: string[]) => void }) {
  return (
    <Panel title="Models" say={chosen.length === 0 ? "Choose those that may win." : `${count(chosen.length, "model")} may win.`}>
      {endpoints.map((endpoint) => (
        <fieldset key={endpoint.name}>
          <legend>{endpoint.name}</legend>
          {endpoint.models.map((model) => {
            const value = JSON.stringify([endpoint.name, model.name]);
            return (
              <label key={value} class="check">
                <input type="checkbox" checked={chosen.includes(value)} onChange={() => onChange(chosen.includes(value) ? chosen.filter((one) => one !== value) : [...chosen, value])} /> {model.name}
                <span class="tag">
                  {" "}
                  {model.prices == null ? "no price: budgets in tokens" : `${amount(model.prices.input_usd_per_million, "usd")} in, ${amount(model.prices.output_usd_per_million, "usd")} out a million`}
                </span>
              </label>
            );
          })}
        </fieldset>
      ))}
      {endpoints.length === 0 && <p class="empty">This server has no endpoints: name one in frugal.toml.</p>}
    </Panel>
  );
}

function Prompts({ prompts, fields, rows, onChange }: { prompts: Prompt[]; fields: string[]; rows: Row[]; onChange: (prompts: Prompt[]) => void }) {
  const change = (index: number, more: Partial<Prompt>): void => onChange(prompts.map((prompt, at) => (at === index ? { ...prompt, ...more } : prompt)));
  return (
    <Panel title="Prompts" say={fields.length === 0 ? "Jinja templates over a row's fields." : `Jinja templates; the rows have ${fields.map(inTemplate).join(", ")}.`}>
      {prompts.map((prompt, index) => (
        <div key={index} class="prompt-form">
          <label class="field">
            Name <input value={prompt.name} onInput={(event) => change(index, { name: event.currentTarget.value })} />
          </label>
          <label class="field">
            Template
            <textarea rows={3} spellcheck={false} placeholder={fields[0] === undefined ? "{{ question }}" : inTemplate(fields[0])} value={prompt.text} onInput={(event) => change(index, { text: event.currentTarget.value })} />
          </label>
          {prompts.length > 1 && (
            <button type="button" onClick={() => onChange(prompts.filter((_, at) => at !== index))}>
              Take away
            </button>
          )}
        </div>
      ))}
      <button type="button" onClick={() => onChange([...prompts, { name: `prompt-${prompts.length}`, text: "" }])}>
        Another prompt
      </button>
      <Preview prompts={prompts} rows={rows} />
    </Panel>
  );
}

/** Asks the server once typing has settled, and gives what it says of the newest question. */
function useSettled<T>(question: string, read: () => Promise<T> | undefined): [T | undefined, Refused | undefined] {
  const [answer, setAnswer] = useState<T>();
  const [error, setError] = useState<Refused>();
  useEffect(() => {
    let gone = false;
    const timer = setTimeout(() => {
      const asked = read();
      if (asked === undefined) {
        setAnswer(undefined);
        setError(undefined);
        return;
      }
      asked.then(
        (value) => {
          if (!gone) {
            setAnswer(() => value);
            setError(undefined);
          }
        },
        (caught: unknown) => {
          if (!gone) {
            setAnswer(undefined);
            setError(caught instanceof Refused ? caught : new Refused(0, "page", String(caught)));
          }
        },
      );
    }, SETTLE_MS);
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [question]);
  return [answer, error];
}

function Preview({ prompts, rows }: { prompts: Prompt[]; rows: Row[] }) {
  const seen = rows.slice(0, PREVIEWED);
  const body = { prompts, rows: seen, responses: seen.map(() => [""]), scorer: { type: "contains", expected: "." } };
  const [answer, error] = useSettled(JSON.stringify(body), () =>
    seen.length === 0 || prompts.some((prompt) => prompt.text === "") ? undefined : send<Validation>("POST", "/scorers/validate", body),
  );
  return (
    <>
      {error !== undefined && <Trouble error={error} />}
      {answer?.rows.map((row, index) => (
        <details key={index} open={index === 0}>
          <summary>As the models see row {index + 1}</summary>
          {row.prompts.map((prompt) => (
            <pre key={prompt.name} class="prompt" tabIndex={0}>
              <b>{prompt.name}</b> {prompt.text ?? prompt.messages?.map((message) => `${message.role}: ${message.content}`).join("\n")}
            </pre>
          ))}
        </details>
      ))}
    </>
  );
}

function Scoring({ draft, fields, rows, fault: wrong, scorer, onChange }: { draft: Draft; fields: string[]; rows: Row[]; fault?: string; scorer: unknown; onChange: (more: Partial<Draft>) => void }) {
  const [kind, setKind] = useState("");
  const [field, setField] = useState("");
  const [tried, setTried] = useState("");
  const row = rows[0];
  const choose = (type: string, name: string): void => {
    setKind(type);
    setField(name);
    const found = SCORERS.find((one) => one.type === type);
    if (found !== undefined && name !== "") {
      onChange({ scorer: JSON.stringify(found.scorer(inTemplate(name)), null, 2) });
    }
  };
  const [answer, error] = useSettled(JSON.stringify([scorer, row, tried]), () =>
    row === undefined || scorer == null || tried === "" ? undefined : send<Validation>("POST", "/scorers/validate", { scorer, rows: [row], responses: [[tried]] }),
  );
  const said = answer?.rows[0]?.responses[0];
  return (
    <Panel title="Scoring" say="When an answer is good, and which field of a row says so.">
      <div class="row">
        <label>
          It is good if{" "}
          <select value={kind} onChange={(event) => choose(event.currentTarget.value, field === "" ? (fields.at(-1) ?? "") : field)}>
            <option value="">…</option>
            {SCORERS.map((one) => (
              <option key={one.type} value={one.type}>
                {one.says}
              </option>
            ))}
          </select>
        </label>
        <label>
          as in{" "}
          <select value={field} onChange={(event) => choose(kind, event.currentTarget.value)}>
            <option value="">…</option>
            {fields.map((one) => (
              <option key={one} value={one}>
                {one}
              </option>
            ))}
          </select>
        </label>
      </div>
      <label class="field">
        A row counts as right if{" "}
        <select value={draft.reduce} onChange={(event) => onChange({ reduce: event.currentTarget.value })}>
          {REDUCERS.map(([name, says]) => (
            <option key={name} value={name}>
              {says}
            </option>
          ))}
        </select>
      </label>
      <label class="field">
        The scorer, as JSON
        <textarea rows={4} spellcheck={false} value={draft.scorer} onInput={(event) => onChange({ scorer: event.currentTarget.value })} />
      </label>
      {wrong !== undefined && (
        <p class="refused" role="alert">
          {wrong}
        </p>
      )}
      {row !== undefined && (
        <label class="field">
          Try it: an answer to the first row <input value={tried} onInput={(event) => setTried(event.currentTarget.value)} />
        </label>
      )}
      {error !== undefined && <Trouble error={error} />}
      {said !== undefined && (
        <p>
          <b class={said.score != null && said.score >= 0.5 ? "good" : "bad"}>{said.score == null ? "no score" : figure(said.score)}</b> {said.why}
        </p>
      )}
    </Panel>
  );
}

/** How far the money goes, in one sentence. */
function reach(estimate: JobEstimate): string {
  const { expected } = estimate.trials;
  return expected === 0
    ? "Too little to see one setting of the middle of the space in full; the search begins with cheaper ones and a part of the rows."
    : `As much as ${count(expected, "setting")} of the middle of the space would cost, seen in full.`;
}

function Cost({ document, ready }: { document: string; ready: boolean }) {
  const [estimate, error] = useSettled(ready ? document : "", () => (ready ? send<JobEstimate>("POST", "/jobs/estimate", JSON.parse(document)) : undefined));
  const unit = estimate === undefined ? "usd" : unitOf(estimate.budgets.optimization);
  return (
    <Panel
      title="What it may come to"
      say={estimate === undefined ? (ready ? undefined : "Rows, models, prompts and a scorer first.") : reach(estimate)}
    >
      {error !== undefined && <Trouble error={error} />}
      {estimate !== undefined && (
        <>
          <dl class="pairs">
            <div>
              <dt>rows searched on</dt>
              <dd>{estimate.rows.tuning}</dd>
            </div>
            <div>
              <dt>rows held out</dt>
              <dd>{estimate.rows.holdout}</dd>
            </div>
            <div>
              <dt>at most</dt>
              <dd>{amount(within(estimate.budgets.optimization, unit), unit)}</dd>
            </div>
          </dl>
          {estimate.warnings.length > 0 && (
            <ul class="notes">
              {estimate.warnings.map((one: FieldError) => (
                <li key={one.pointer + one.detail}>{fault(one)}</li>
              ))}
            </ul>
          )}
        </>
      )}
    </Panel>
  );
}
