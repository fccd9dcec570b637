// Small things that several pages show.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { file, key, Refused, type Configuration, type Estimate, type Job, type JobSummary } from "./api";
import { amount, figure, percent, setting, unitOf, within } from "./format";
import { fault } from "./words";

/** A state by its shape as well as its colour. */
export function State({ state }: { state: string }) {
  return (
    <span class={`state ${state}`}>
      <i aria-hidden="true" />
      {state}
    </span>
  );
}

/** How much of a job's budget is spent. */
export function Meter({ job }: { job: Job | JobSummary }) {
  const unit = unitOf(job.budgets.optimization);
  const share = Math.min(1, within(job.spend, unit) / within(job.budgets.optimization, unit));
  return (
    <div class="meter" role="img" aria-label={`${percent(share)} of the budget spent`}>
      <span style={{ width: `${share * 100}%` }} />
    </div>
  );
}

/** Spend of budget, in words. */
export function Spend({ job }: { job: Job | JobSummary }) {
  const unit = unitOf(job.budgets.optimization);
  return (
    <>
      <b>{amount(within(job.spend, unit), unit)}</b> of {amount(within(job.budgets.optimization, unit), unit)}
    </>
  );
}

/** A section with its heading and the sentence that says what it shows now. */
export function Panel({ title, say, children, class: more }: { title: string; say?: string; children: ComponentChildren; class?: string }) {
  return (
    <section class={more}>
      <h2>{title}</h2>
      {say !== undefined && <p class="say">{say}</p>}
      {children}
    </section>
  );
}

/** What may be wider than the page: it is moved by the keyboard too. */
export function Scroll({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <div class="scroll" role="region" aria-label={label} tabIndex={0}>
      {children}
    </div>
  );
}

/** Ways to the pages before and after, where there are any: `cursors` leads to the page that is shown. */
export function Pager({ cursors, page, before, after, onMove, children }: { cursors: string[]; page?: { has_more: boolean; next?: string | null }; before: string; after: string; onMove: (cursors: string[]) => void; children?: ComponentChildren }) {
  if (cursors.length === 0 && page?.has_more !== true) {
    return null;
  }
  return (
    <div class="row">
      <button type="button" disabled={cursors.length === 0} onClick={() => onMove(cursors.slice(0, -1))}>
        {before}
      </button>
      <button type="button" disabled={page?.has_more !== true} onClick={() => page?.next != null && onMove([...cursors, page.next])}>
        {after}
      </button>
      {children}
    </div>
  );
}

/** An error of the server's, with every fault that it names. */
export function Trouble({ error }: { error: Refused }) {
  return (
    <div class="trouble" role="alert">
      <p>{error.message}</p>
      {error.faults.length > 0 && (
        <ul>
          {error.faults.map((one) => (
            <li key={one.pointer + one.detail}>{fault(one)}</li>
          ))}
        </ul>
      )}
    </div>
  );
}

/** A value with its 95 % interval, or where that is not known a standard error to each side, drawn between 0 and 1. */
export function Band({ estimate, interval }: { estimate: Estimate; interval?: { low: number; high: number } | null }) {
  const error = estimate.standard_error ?? 0;
  const { mean } = estimate;
  if (mean < 0 || mean > 1) {
    return null;
  }
  const low = Math.max(0, interval?.low ?? mean - error) * 100;
  const high = Math.min(1, interval?.high ?? mean + error) * 100;
  return (
    <span class="band" aria-hidden="true">
      <i style={{ left: `${low}%`, width: `${high - low}%` }} />
      <b style={{ left: `${mean * 100}%` }} />
    </span>
  );
}

/** A mean with what it may be off, both to the same digit. */
export function plusMinus(estimate: Estimate): string {
  const { mean, standard_error: error } = estimate;
  if (error == null) {
    return figure(mean);
  }
  const digits = Math.abs(mean) >= 100 ? 0 : Math.abs(mean) >= 10 ? 1 : 2;
  return `${mean.toFixed(digits)} ± ${error.toFixed(digits)}`;
}

/** A configuration's settings, each with its name. */
export function Settings({ configuration }: { configuration: Configuration }) {
  return (
    <dl class="pairs">
      {Object.entries(configuration).map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{setting(value)}</dd>
        </div>
      ))}
    </dl>
  );
}

/** A button that gives a text to the clipboard, which may have to be asked for first. */
export function Copy({ text, children }: { text: string | (() => Promise<string>); children: ComponentChildren }) {
  const [said, setSaid] = useState<string>();
  return (
    <button
      type="button"
      onClick={() => {
        Promise.resolve(typeof text === "string" ? text : text())
          .then((found) => navigator.clipboard.writeText(found))
          .then(
            () => setSaid("Copied"),
            (error: unknown) => setSaid(error instanceof Refused ? error.message : "The browser does not let this page copy"),
          )
          .finally(() => setTimeout(() => setSaid(undefined), 2000));
      }}
    >
      {said ?? children}
    </button>
  );
}

/** A link to a file of the server's. Where there is a key, which a link cannot carry, the file is asked for and saved. */
export function FileLink({ path, name, children }: { path: string; name: string; children: ComponentChildren }) {
  const [error, setError] = useState<string>();
  const save = async () => {
    const url = URL.createObjectURL(await file(path));
    const link = document.createElement("a");
    link.href = url;
    link.download = name;
    link.click();
    URL.revokeObjectURL(url);
  };
  return (
    <a
      href={path}
      onClick={(event) => {
        if (key.get() !== null) {
          event.preventDefault();
          save().catch((refused: unknown) => setError(refused instanceof Refused ? refused.message : "The browser does not save it"));
        }
      }}
    >
      {error ?? children}
    </a>
  );
}

/** A button whose deed the server may refuse. */
export function Act({ label, does, asks }: { label: string; does: () => Promise<unknown>; asks?: string }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Refused>();
  return (
    <>
      <button
        type="button"
        disabled={busy}
        onClick={() => {
          if (asks !== undefined && !confirm(asks)) {
            return;
          }
          setBusy(true);
          setError(undefined);
          does()
            .catch((caught: unknown) => setError(caught instanceof Refused ? caught : new Refused(0, "page", String(caught))))
            .finally(() => setBusy(false));
        }}
      >
        {label}
      </button>
      {error !== undefined && (
        <span class="refused" role="alert">
          {error.message}
        </span>
      )}
    </>
  );
}
