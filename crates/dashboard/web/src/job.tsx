// A job, live: a sentence first, then the budget, the plots, the settings and the log.

import { useMemo, useState } from "preact/hooks";
import { get, send, type Importance, type Job, type Report, type Trial, type Winner } from "./api";
import { amount, count, figure, percent, priced, setting, unitOf, varying, whole, within } from "./format";
import { useLive, usePolled, useSlow, type Lead, type Live } from "./live";
import { Act, Band, Copy, FileLink, Meter, Panel, plusMinus, Scroll, Settings, Spend, State, Trouble } from "./parts";
import { BestPlot, front, FrontPlot, ParallelPlot, SlicePlot } from "./plots";
import { fault, hasEnded, lead, logLine, metricName, ofBest, ofFront, ofMoney, ofStanding, sentence } from "./words";

/** What the winner can be copied as. */
const FORMS: [string, string][] = [
  ["openai", "request body"],
  ["curl", "curl"],
  ["litellm", "LiteLLM"],
  ["langchain", "LangChain"],
];
const FEW_ROWS = 25;
const LOG_LINES = 12;

export function JobPage({ id }: { id: string }) {
  const live = useLive(id);
  const [selected, setSelected] = useState<number>();
  const { job, trials, report } = live;
  if (job === undefined) {
    return <main>{live.error === undefined ? <p class="empty">Reading …</p> : <Trouble error={live.error} />}</main>;
  }
  const baseline = trials.find((trial) => trial.role === "baseline");
  const over = hasEnded(job);
  return (
    <main class="job">
      <Top live={live} job={job} baseline={baseline} report={report} />
      <div class="wide">
        {report !== undefined && <Result job={job} report={report} trials={trials} />}
        <div class="two">
          <Panel title="Best so far" say={ofBest(live.leads, unitOf(job.budgets.optimization))}>
            {live.leads.length > 0 && <Best job={job} leads={live.leads} baseline={baseline} onPick={setSelected} />}
          </Panel>
          <Panel title="What a row costs and is worth" say={ofFront(trials, job)}>
            {trials.some((trial) => trial.utility != null) && <Front job={job} trials={trials} selected={selected} onPick={setSelected} />}
          </Panel>
        </div>
        <Table job={job} trials={trials} selected={selected} onSelect={setSelected} />
        <Shapes job={job} trials={trials} isOver={over} onPick={setSelected} />
      </div>
      <div class="side">
        <Beside job={job} trials={trials} baseline={baseline} />
        <Money job={job} report={report} />
        <Mattered job={job} trials={trials} />
        <Extents job={job} trials={trials} />
        <Log live={live} />
      </div>
    </main>
  );
}

/** How often the plots of all trials together change while a job runs. */
const SHAPES_MS = 5000;

// Each of these is drawn anew only where what it shows has changed: the job itself changes with every answer.

function Best({ job, leads, baseline, onPick }: { job: Job; leads: Lead[]; baseline?: Trial; onPick: (trial: number) => void }) {
  const spent = useSlow(job.spend.tokens, SHAPES_MS, hasEnded(job));
  return useMemo(() => <BestPlot job={job} leads={leads} baseline={baseline} onPick={onPick} />, [leads, baseline, spent]);
}

function Front({ job, trials, selected, onPick }: { job: Job; trials: Trial[]; selected?: number; onPick: (trial: number) => void }) {
  const slow = useSlow(trials, trials.length > 100 ? SHAPES_MS : 0, hasEnded(job));
  return useMemo(() => <FrontPlot job={job} trials={slow} selected={selected} onPick={onPick} />, [slow, selected]);
}

function Table({ job, trials, selected, onSelect }: { job: Job; trials: Trial[]; selected?: number; onSelect: (trial?: number) => void }) {
  return useMemo(() => <TrialTable job={job} trials={trials} selected={selected} onSelect={onSelect} />, [trials, selected, job.best?.trial]);
}

function Top({ live, job, baseline, report }: { live: Live; job: Job; baseline?: Trial; report?: Report }) {
  const seen = live.trials.filter((trial) => trial.coverage?.complete === true).length;
  return (
    <div class="top">
      <div class="row">
        <h1>{job.name ?? job.id}</h1>
        <State state={job.state} />
        {!live.connected && <span class="refused">the connection is lost; trying again</span>}
        <span class="grow" />
        <Steering job={job} />
      </div>
      <p class="lead">{lead(job, baseline, report)}</p>
      <Meter job={job} />
      <div class="facts">
        <span>
          <Spend job={job} />
        </span>
        <span>
          <b>{whole(job.progress.trials.total)}</b> settings seen, {seen} in full
        </span>
        <span>
          <b>{whole(job.progress.responses)}</b> answers
        </span>
        {ofStanding(job).map((said) => (
          <span key={said}>{said}</span>
        ))}
        {hasEnded(job) && job.stop_reason != null && <span>ended: {job.stop_reason.replaceAll("_", " ")}</span>}
      </div>
      {live.error !== undefined && <Trouble error={live.error} />}
      {(job.warnings ?? []).length > 0 && (
        <ul class="notes">
          {job.warnings?.map((one) => (
            <li key={one.pointer + one.detail}>{fault(one)}</li>
          ))}
        </ul>
      )}
    </div>
  );
}

function Steering({ job }: { job: Job }) {
  const [wants, setWants] = useState<"budget" | "continue">();
  const path = `/jobs/${job.id}`;
  const unit = unitOf(job.budgets.optimization);
  const active = job.state === "queued" || job.state === "running";
  const held = job.state === "paused" || job.state === "pausing";
  return (
    <>
      {active && <Act label="Pause" does={() => send("POST", `${path}/pause`)} />}
      {held && <Act label="Resume" does={() => send("POST", `${path}/resume`)} />}
      {(active || held) && (
        <button type="button" aria-expanded={wants === "budget"} onClick={() => setWants(wants === undefined ? "budget" : undefined)}>
          Change budget
        </button>
      )}
      {(active || held) && <Act label="Cancel" asks="Cancel this job? What it found stays." does={() => send("POST", `${path}/cancel`)} />}
      {hasEnded(job) && (
        <button type="button" aria-expanded={wants === "continue"} onClick={() => setWants(wants === undefined ? "continue" : undefined)}>
          Continue with more
        </button>
      )}
      {wants !== undefined && (
        <BudgetForm
          job={job}
          label={wants === "budget" ? "Set" : "Continue"}
          onSet={async (value) => {
            const body = { budgets: { optimization: { [unit]: value } } };
            await (wants === "budget" ? send("PATCH", path, body) : send("POST", `${path}/continue`, body));
            setWants(undefined);
          }}
        />
      )}
    </>
  );
}

function BudgetForm({ job, label, onSet }: { job: Job; label: string; onSet: (value: number) => Promise<void> }) {
  const unit = unitOf(job.budgets.optimization);
  const [value, setValue] = useState(String(within(job.budgets.optimization, unit) * 2));
  return (
    <span class="row inline">
      <label>
        Optimization budget, {unit === "usd" ? "dollars" : "tokens"}{" "}
        <input type="number" min="0" step="any" value={value} onInput={(event) => setValue(event.currentTarget.value)} />
      </label>
      <Act label={label} does={() => onSet(Number(value))} />
    </span>
  );
}

function TrialTable({ job, trials, selected, onSelect }: { job: Job; trials: Trial[]; selected?: number; onSelect: (trial?: number) => void }) {
  const [all, setAll] = useState(false);
  const names = useMemo(() => varying(trials.map((trial) => trial.configuration)).slice(0, 7), [trials]);
  const sign = job.objective.direction === "minimize" ? 1 : -1;
  const rank = (trial: Trial): number => (trial.utility == null ? 1e9 : sign * trial.utility.mean + (trial.valid === true ? 0 : 1e6));
  const sorted = [...trials].sort((a, b) => rank(a) - rank(b) || a.number - b.number);
  const shown = all ? sorted : sorted.slice(0, FEW_ROWS);
  const chosen = trials.find((trial) => trial.number === selected);
  return (
    <Panel title="Settings" say={`Those that fit first, the best at the top: ${metricName(job.objective.metric)}, with its 95 % interval.`}>
      {trials.length === 0 ? (
        <p class="empty">None has been begun yet.</p>
      ) : (
        <Scroll label="Settings of trials">
          <table class="trials">
            <thead>
              <tr>
                <th class="text">Trial</th>
                {names.map((name) => (
                  <th key={name} class={name === "model" || name === "prompt" ? "text" : undefined}>
                    {name}
                  </th>
                ))}
                <th>Rows</th>
                <th>A row costs</th>
                <th colSpan={2} title={metricName(job.objective.metric)}>
                  Estimate
                </th>
              </tr>
            </thead>
            <tbody>
              {shown.map((trial) => (
                <tr
                  key={trial.number}
                  class={[trial.number === selected ? "selected" : "", trial.valid === true || trial.utility == null ? "" : "outside"].join(" ")}
                  onClick={() => onSelect(trial.number === selected ? undefined : trial.number)}
                >
                  <td class="text">
                    <a href={`#/jobs/${job.id}/trials/${trial.number}`} onClick={(event) => event.stopPropagation()}>
                      {trial.number}
                    </a>
                    {trial.role === "baseline" && <span class="tag"> baseline</span>}
                    {trial.number === job.best?.trial && <span class="tag"> best</span>}
                    {trial.state !== "evaluated" && <span class="tag"> {trial.state}</span>}
                  </td>
                  {names.map((name) => (
                    <td key={name} class={name === "model" || name === "prompt" ? "text" : undefined}>
                      {setting((trial.configuration as Record<string, unknown>)[name])}
                    </td>
                  ))}
                  <td>{trial.coverage == null ? "–" : `${trial.coverage.instances} of ${trial.coverage.of}`}</td>
                  <td>{priced(trial.inference_cost)}</td>
                  <td>{trial.utility == null ? "–" : figure(trial.utility.mean)}</td>
                  <td>{trial.utility != null && <Band estimate={trial.utility} interval={trial.utility_interval} />}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
      {sorted.length > FEW_ROWS && (
        <button type="button" onClick={() => setAll(!all)}>
          {all ? "Show fewer" : `Show all ${sorted.length}`}
        </button>
      )}
      {chosen !== undefined && (
        <div class="chosen">
          <h3>
            Trial {chosen.number}, {chosen.state}
          </h3>
          <Settings configuration={chosen.configuration} />
          <a href={`#/jobs/${job.id}/trials/${chosen.number}`}>Its rows and answers</a>
        </div>
      )}
    </Panel>
  );
}

function Shapes({ job, trials, isOver, onPick }: { job: Job; trials: Trial[]; isOver: boolean; onPick: (trial: number) => void }) {
  const slow = useSlow(trials, SHAPES_MS, isOver);
  return useMemo(() => <AllShapes job={job} trials={slow} onPick={onPick} />, [slow]);
}

function AllShapes({ job, trials, onPick }: { job: Job; trials: Trial[]; onPick: (trial: number) => void }) {
  const known = trials.filter((trial) => trial.utility != null);
  const names = varying(known.map((trial) => trial.configuration)).slice(0, 8);
  if (known.length < 3 || names.length === 0) {
    return null;
  }
  return (
    <>
      <Panel title="Settings side by side" say={`A line for each of ${count(known.length, "trial")}; the stronger, the better.`}>
        <ParallelPlot job={job} trials={known} names={names} onPick={onPick} />
      </Panel>
      <Panel title="What each setting does" say={`A point for each trial: ${metricName(job.objective.metric)} against the setting. Other settings differ too, so this shows where the search has looked, and no effect by itself.`}>
        <div class="slices">
          {names.map((name) => (
            <div key={name}>
              <h3>{name}</h3>
              <SlicePlot job={job} trials={known} name={name} onPick={onPick} />
            </div>
          ))}
        </div>
      </Panel>
    </>
  );
}

function Beside({ job, trials, baseline }: { job: Job; trials: Trial[]; baseline?: Trial }) {
  const best = trials.find((trial) => trial.number === job.best?.trial);
  if (best === undefined) {
    return (
      <Panel title="Best beside baseline">
        <p class="empty">Nothing fits the budgets yet.</p>
      </Panel>
    );
  }
  const metric = (trial: Trial | undefined, name: string, as: (value: number) => string): string => {
    const one = trial?.metrics?.[name];
    return one == null ? "–" : as(one.mean);
  };
  const rows: [string, string, string][] = [
    [metricName(job.objective.metric), baseline?.utility == null ? "–" : plusMinus(baseline.utility), best.utility == null ? "–" : plusMinus(best.utility)],
    ["a row costs", priced(baseline?.inference_cost), priced(best.inference_cost)],
    ["answers cut", metric(baseline, "cut_rate", percent), metric(best, "cut_rate", percent)],
    ["tokens of a row", metric(baseline, "completion_tokens", whole), metric(best, "completion_tokens", whole)],
    ["latency", metric(baseline, "latency_ms", (value) => `${whole(value)} ms`), metric(best, "latency_ms", (value) => `${whole(value)} ms`)],
  ];
  return (
    <Panel title="Best beside baseline" say="On the rows of the search. Rows that were held out are asked at the end.">
      <table class="plain">
        <thead>
          <tr>
            <th class="text">
              <span class="hidden">Metric</span>
            </th>
            <th>baseline</th>
            <th>best</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(([name, one, other]) => (
            <tr key={name}>
              <td class="text">{name}</td>
              <td>{one}</td>
              <td>{other}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Panel>
  );
}

/** How much each setting explains of what trials differ in. */
function Mattered({ job, trials }: { job: Job; trials: Trial[] }) {
  const known = trials.filter((trial) => trial.state === "evaluated").length;
  const [importance] = usePolled(
    (signal) => (known < 2 ? Promise.resolve(undefined) : get<Importance>(`/jobs/${job.id}/importance`, signal)),
    0,
    `${job.id} ${hasEnded(job) ? known : Math.floor(known / 5)}`,
  );
  if (importance === undefined || importance.settings.length === 0) {
    return null;
  }
  return (
    <Panel title="Which settings mattered" say={sentence(importance.note)}>
      {importance.reliable && (
        <dl class="bars">
          {importance.settings.map((one) => (
            <div key={one.setting}>
              <dt>{one.setting}</dt>
              <dd>
                <span style={{ width: `${one.share * 60}%` }} /> {percent(one.share)}
              </dd>
            </div>
          ))}
        </dl>
      )}
    </Panel>
  );
}

function Money({ job, report }: { job: Job; report?: Report }) {
  const unit = unitOf(job.budgets.optimization);
  const roles = Object.entries(job.spend.by_role).map(([name, spend]) => ({ name: name.replaceAll("_", " "), value: within(spend, unit) }));
  const most = Math.max(...roles.map((role) => role.value), 0);
  return (
    <Panel title="Where the money went" say={ofMoney(job, report)}>
      {most > 0 && (
        <dl class="bars">
          {roles.map((role) => (
            <div key={role.name}>
              <dt>{role.name}</dt>
              <dd>
                <span style={{ width: `${(role.value / most) * 60}%` }} /> {amount(role.value, unit)}
              </dd>
            </div>
          ))}
        </dl>
      )}
    </Panel>
  );
}

/** The best estimate at each n and max_tokens that trials came to, as a map. */
function Extents({ job, trials }: { job: Job; trials: Trial[] }) {
  const known = trials.filter((trial) => trial.utility != null);
  const ns = [...new Set(known.map((trial) => trial.configuration.n))].sort((a, b) => b - a).slice(0, 8);
  const caps = [...new Set(known.map((trial) => trial.configuration.max_tokens))].sort((a, b) => a - b).slice(0, 6);
  if (ns.length * caps.length < 2) {
    return null;
  }
  const smaller = job.objective.direction === "minimize";
  const at = (n: number, cap: number): Trial | undefined =>
    known
      .filter((trial) => trial.configuration.n === n && trial.configuration.max_tokens === cap)
      .sort((a, b) => Number(b.valid === true) - Number(a.valid === true) || (smaller ? 1 : -1) * ((a.utility?.mean ?? 0) - (b.utility?.mean ?? 0)))[0];
  const values = known.map((trial) => trial.utility?.mean ?? 0);
  const low = Math.min(...values);
  const span = Math.max(...values) - low || 1;
  const best = front(known, smaller).at(-1);
  return (
    <Panel
      title="n and max_tokens"
      say={best === undefined ? "No extent that was looked at fits the budgets." : `Of the extents that were looked at, n = ${best.configuration.n} with ${best.configuration.max_tokens} tokens does best. A dash lies outside the budgets.`}
    >
      <table class="map">
        <thead>
          <tr>
            <th class="text">
              <span class="hidden">n</span>
            </th>
            {caps.map((cap) => (
              <th key={cap}>{cap}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {ns.map((n) => (
            <tr key={n}>
              <th class="text">n = {n}</th>
              {caps.map((cap) => {
                const trial = at(n, cap);
                const fits = trial?.valid === true;
                const share = ((trial?.utility?.mean ?? low) - low) / span;
                return (
                  <td key={cap} style={fits ? { background: `color-mix(in srgb, var(--accent) ${Math.round(8 + 28 * (smaller ? 1 - share : share))}%, transparent)` } : {}}>
                    {trial === undefined ? "" : fits ? figure(trial.utility?.mean ?? 0) : "–"}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </Panel>
  );
}

function Log({ live }: { live: Live }) {
  const [all, setAll] = useState(false);
  const lines = live.log.map((event) => ({ seq: event.seq, heard: logLine(event) })).filter((line) => line.heard !== undefined);
  return (
    <Panel title="Lately">
      <ul class="log" aria-live="off">
        {(all ? lines : lines.slice(0, LOG_LINES)).map(({ seq, heard }) => (
          <li key={seq}>
            <time>{heard?.time}</time>
            <span>{heard?.words}</span>
          </li>
        ))}
      </ul>
      {lines.length > LOG_LINES && (
        <button type="button" onClick={() => setAll(!all)}>
          {all ? "Show fewer" : `Show ${lines.length}`}
        </button>
      )}
    </Panel>
  );
}

function Result({ job, report, trials }: { job: Job; report: Report; trials: Trial[] }) {
  const winner = report.winner;
  if (winner == null) {
    return (
      <Panel title="Result" say={sentence(report.improvement_detail)}>
        <Notes report={report} />
      </Panel>
    );
  }
  const runners = front(trials, job.objective.direction === "minimize").filter((trial) => trial.number !== winner.trial && trial.role !== "baseline").slice(-3).reverse();
  const held = report.holdout;
  return (
    <Panel title="Result" say={sentence(report.improvement_detail)}>
      <Settings configuration={winner.configuration} />
      <div class="row">
        {FORMS.map(([form, label]) => (
          <Copy key={form} text={() => get<Winner>(`/jobs/${job.id}/winner?form=${form}`).then((winner) => winner.text)}>
            Copy as {label}
          </Copy>
        ))}
        <FileLink path={`/jobs/${job.id}/report.html`} name="report.html">
          The report to print or send
        </FileLink>
        <FileLink path={`/jobs/${job.id}/report`} name="report.json">
          The report as JSON
        </FileLink>
        <FileLink path={`/jobs/${job.id}/export`} name="job.jsonl">
          Everything as JSONL
        </FileLink>
      </div>
      <Scroll label="Winner, baseline and runners-up">
        <table>
          <thead>
            <tr>
              <th class="text">
                <span class="hidden">Setting</span>
              </th>
              <th>rows of the search</th>
              <th>95 % interval</th>
              <th>held-out rows</th>
              <th>95 % interval</th>
              <th>a row costs</th>
            </tr>
          </thead>
          <tbody>
            <tr>
              <td class="text">winner, trial {winner.trial}</td>
              <td>{figure(winner.utility.mean)}</td>
              <td>{interval(winner.utility_interval)}</td>
              <td>{held == null ? "–" : figure(held.winner.mean)}</td>
              <td>{interval(held?.winner.interval)}</td>
              <td>{priced(winner.inference_cost)}</td>
            </tr>
            {report.baseline != null && (
              <tr>
                <td class="text">baseline</td>
                <td>{figure(report.baseline.utility.mean)}</td>
                <td>{interval(report.baseline.utility_interval)}</td>
                <td>{held?.baseline == null ? "–" : figure(held.baseline.mean)}</td>
                <td>{interval(held?.baseline?.interval)}</td>
                <td>{priced(report.baseline.inference_cost)}</td>
              </tr>
            )}
            {report.baseline != null && (
              <tr>
                <td class="text">difference</td>
                <td>{report.difference == null ? "–" : figure(report.difference.mean)}</td>
                <td>{interval(report.difference?.interval)}</td>
                <td>{held?.difference == null ? "–" : figure(held.difference.mean)}</td>
                <td>{interval(held?.difference?.interval)}</td>
                <td />
              </tr>
            )}
            {runners.map((trial) => (
              <tr key={trial.number} class="runner">
                <td class="text">
                  runner-up, trial <a href={`#/jobs/${job.id}/trials/${trial.number}`}>{trial.number}</a>
                </td>
                <td>{figure(trial.utility?.mean ?? 0)}</td>
                <td>{interval(trial.utility_interval)}</td>
                <td>–</td>
                <td>–</td>
                <td>{priced(trial.inference_cost)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      {report.nearly_as_good != null && <p>{sentence(report.nearly_as_good.detail)}</p>}
      <Notes report={report} />
    </Panel>
  );
}

function Notes({ report }: { report: Report }) {
  const notes = report.notes ?? [];
  return notes.length === 0 ? null : (
    <ul class="notes">
      {notes.map((note) => (
        <li key={note.detail}>{sentence(note.detail)}</li>
      ))}
    </ul>
  );
}

function interval(bounds: { low: number; high: number } | null | undefined): string {
  return bounds == null ? "–" : `${figure(bounds.low)} to ${figure(bounds.high)}`;
}
