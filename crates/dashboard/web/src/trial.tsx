// A trial: its settings, its metrics, and row by row what was asked, answered and scored.

import { useState } from "preact/hooks";
import { get, type Rows, type Trial } from "./api";
import { dollars, figure, priced, whole } from "./format";
import { usePolled } from "./live";
import { Pager, Panel, plusMinus, Settings, State, Trouble } from "./parts";
import { metricName } from "./words";

type Row = Rows["data"][number];
type Side = Pick<Row, "value" | "prompt" | "responses">;

const MOST_ANSWERS = 5;

export function TrialPage({ id, number }: { id: string; number: number }) {
  const path = `/jobs/${id}/trials/${number}`;
  const [trial, error] = usePolled((signal) => get<Trial>(path, signal), 5, path);
  return (
    <main>
      <div class="row">
        <h1>
          <a href={`#/jobs/${id}`}>Job</a>, trial {number}
        </h1>
        {trial !== undefined && <State state={trial.state} />}
      </div>
      {error !== undefined && <Trouble error={error} />}
      {trial !== undefined && (
        <>
          <div class="two">
            <Panel title="Settings" say={trial.detail ?? undefined}>
              <Settings configuration={trial.configuration} />
            </Panel>
            <Metrics trial={trial} />
          </div>
          <RowList id={id} number={number} isBaseline={trial.role === "baseline"} />
        </>
      )}
    </main>
  );
}

function Metrics({ trial }: { trial: Trial }) {
  const metrics = Object.entries(trial.metrics ?? {});
  return (
    <Panel title="Metrics" say={trial.coverage == null ? "Nothing is known of it yet." : `Means over ${trial.coverage.instances} of ${trial.coverage.of} rows, ${trial.coverage.responses} answers drawn to each.`}>
      <table class="plain">
        <tbody>
          {trial.inference_cost != null && (
            <tr>
              <td class="text">a row costs</td>
              <td>{priced(trial.inference_cost)}</td>
            </tr>
          )}
          {metrics
            .filter(([name]) => name !== "inference_cost")
            .map(([name, estimate]) => (
              <tr key={name}>
                <td class="text">{metricName(name)}</td>
                <td>{plusMinus(estimate)}</td>
              </tr>
            ))}
          <tr>
            <td class="text">spent on it</td>
            <td>{trial.spend.usd == null ? `${whole(trial.spend.tokens)} tokens` : dollars(trial.spend.usd)}</td>
          </tr>
        </tbody>
      </table>
    </Panel>
  );
}

function RowList({ id, number, isBaseline }: { id: string; number: number; isBaseline: boolean }) {
  const [beside, setBeside] = useState(!isBaseline);
  const [sort, setSort] = useState("difference");
  const [split, setSplit] = useState("tuning");
  const [cursors, setCursors] = useState<string[]>([]);
  const query = new URLSearchParams({ limit: "20", split });
  if (beside) {
    query.set("beside", "baseline");
    query.set("sort", sort);
  }
  const cursor = cursors.at(-1);
  if (cursor !== undefined) {
    query.set("cursor", cursor);
  }
  const path = `/jobs/${id}/trials/${number}/responses?${query}`;
  const [rows, error] = usePolled((signal) => get<Rows>(path, signal), 0, path);
  return (
    <Panel title="Row by row" say={beside ? "Beside the baseline's answers to the same row." : "What was asked, answered and scored."}>
      <div class="row">
        <label>
          Rows{" "}
          <select
            value={split}
            onChange={(event) => {
              setSplit(event.currentTarget.value);
              setCursors([]);
            }}
          >
            <option value="tuning">of the search</option>
            <option value="holdout">held out</option>
          </select>
        </label>
        {!isBaseline && (
          <label>
            <input
              type="checkbox"
              checked={beside}
              onChange={() => {
                setBeside(!beside);
                setCursors([]);
              }}
            />{" "}
            beside the baseline
          </label>
        )}
        {beside && (
          <label>
            First{" "}
            <select
              value={sort}
              onChange={(event) => {
                setSort(event.currentTarget.value);
                setCursors([]);
              }}
            >
              <option value="difference">what became worse</option>
              <option value="-difference">what became better</option>
              <option value="row">the first row</option>
            </select>
          </label>
        )}
      </div>
      {error !== undefined && <Trouble error={error} />}
      {rows !== undefined && rows.data.length === 0 && <p class="empty">It was not looked at on any row yet.</p>}
      {rows?.data.map((row) => (
        <details key={`${row.split} ${row.row}`} class="answers">
          <summary>
            <span class="tag">
              {row.split === "holdout" ? "held out " : ""}
              {row.row}
            </span>
            <span class="grow">{brief(row.fields)}</span>
            <span>{row.value == null ? "no score" : figure(row.value)}</span>
            {row.difference != null && <b class={row.difference > 0 ? "good" : row.difference < 0 ? "bad" : undefined}>{signed(row.difference)}</b>}
          </summary>
          <Prompt side={row} />
          <div class={row.beside == null ? undefined : "two"}>
            <Answers title={`Trial ${number}`} side={row} />
            {row.beside != null && <Answers title="Baseline" side={row.beside} />}
          </div>
        </details>
      ))}
      <Pager cursors={cursors} page={rows} before="Back" after="More rows" onMove={setCursors} />
    </Panel>
  );
}

function signed(value: number): string {
  return value > 0 ? `+${figure(value)}` : figure(value);
}

function brief(fields: Record<string, unknown>): string {
  const text = Object.entries(fields)
    .filter(([name]) => name !== "id")
    .map(([, value]) => (typeof value === "string" ? value : JSON.stringify(value)))
    .join(" · ");
  return text.length > 160 ? `${text.slice(0, 159)}…` : text;
}

function Prompt({ side }: { side: Side }) {
  if (side.prompt == null) {
    return null;
  }
  return side.prompt.messages == null ? (
    <pre class="prompt" tabIndex={0}>{side.prompt.text}</pre>
  ) : (
    <>
      {side.prompt.messages.map((message, index) => (
        <pre key={index} class="prompt" tabIndex={0}>
          <b>{message.role}</b> {message.content}
        </pre>
      ))}
    </>
  );
}

function Answers({ title, side }: { title: string; side: Side }) {
  const [all, setAll] = useState(false);
  const shown = all ? side.responses : side.responses.slice(0, MOST_ANSWERS);
  return (
    <div>
      <h3>
        {title}: {side.value == null ? "no score" : figure(side.value)}
      </h3>
      {shown.map((answer, index) => (
        <figure key={index}>
          <pre>{answer.text === "" ? "(empty)" : answer.text}</pre>
          <figcaption>
            <b class={answer.score == null ? undefined : answer.score >= 0.5 ? "good" : "bad"}>{answer.score == null ? "no score" : figure(answer.score)}</b> {answer.why ?? answer.failure ?? ""}
            <span class="tag">
              {" "}
              {whole(answer.completion_tokens)} tokens{answer.finish_reason === "length" ? ", cut" : ""}
            </span>
          </figcaption>
        </figure>
      ))}
      {side.responses.length > MOST_ANSWERS && (
        <button type="button" onClick={() => setAll(!all)}>
          {all ? "Show fewer" : `Show all ${side.responses.length}`}
        </button>
      )}
    </div>
  );
}
