// What numbers say, in sentences: each plot and each page has one for somebody who decides.

import type { FieldError, Job, JobEvent, Report, Trial } from "./api";
import { amount, clock, count, day, duration, figure, percent, shortName, times, unitOf, within } from "./format";

const ENDED = new Set(["succeeded", "failed", "cancelled"]);

/** Whether a job is over for good (it may still be continued). */
export function hasEnded(job: Job): boolean {
  return ENDED.has(job.state);
}

/** What the objective is called among people. */
export function metricName(name: string): string {
  const known: Record<string, string> = {
    expected_success: "chance of a right answer",
    success: "share right",
    mean: "mean score",
    majority: "share right by majority",
    min: "worst score",
    cut_rate: "share cut",
    latency_ms: "latency in ms",
    completion_tokens: "tokens of the answer",
    inference_cost: "cost of a row",
  };
  return known[name] ?? name.replaceAll("_", " ");
}

/** The first sentence of a job's page. */
export function lead(job: Job, baseline: Trial | undefined, report: Report | undefined): string {
  if (report !== undefined && hasEnded(job) && (job.state !== "failed" || report.winner != null)) {
    return verdict(report);
  }
  switch (job.state) {
    case "queued":
      return job.not_before != null && Date.parse(job.not_before) > Date.now()
        ? `It begins at ${day(job.not_before)}.`
        : "It waits for a worker. One takes it up as soon as it is free.";
    case "failed":
      return job.detail == null ? "The job failed, and no reason is on record." : sentence(job.detail);
    case "cancelled":
      return "It was cancelled. What it had found so far stands below.";
    default:
      return soFar(job, baseline);
  }
}

function soFar(job: Job, baseline: Trial | undefined): string {
  const held = job.state === "paused" || job.state === "pausing" ? "It is paused. " : "";
  if (job.best == null) {
    const seen = job.progress.trials.total;
    return seen === 0
      ? `${held}Nothing has been looked at yet.`
      : `${held}Of ${count(seen, "setting")} none is known yet to fit the budgets.`;
  }
  const best = job.best.utility.mean;
  if (job.best.trial === 0) {
    return `${held}Nothing better than the baseline so far: it scores ${figure(best)}.`;
  }
  const base = baseline?.utility?.mean;
  if (base == null) {
    return `${held}The best setting so far scores ${figure(best)}.`;
  }
  return `${held}The best setting so far scores ${figure(best)}, the baseline ${figure(base)}${price(
    job.best.inference_cost.mean,
    baseline?.inference_cost?.mean,
  )}.`;
}

function price(cost: number, of: number | undefined): string {
  if (of === undefined || of <= 0) {
    return "";
  }
  const ratio = cost / of;
  return ratio > 1.05 ? `, at ${times(ratio)} its price` : ratio < 0.95 ? `, at ${percent(ratio)} of its price` : ", at the same price";
}

/** What a report says to somebody who decides; one of an earlier version says less. */
export function verdict(report: Report): string {
  return report.summary ?? sentence(report.improvement_detail);
}

/** What the curve of the best so far shows now. */
export function ofBest(points: { spend: number; utility: number }[], unit: "usd" | "tokens"): string {
  const last = points.at(-1);
  if (last === undefined) {
    return "Nothing fits the budgets yet.";
  }
  // Estimates still move in digits that are not shown.
  const same = points.length - points.findLastIndex((point) => figure(point.utility) !== figure(last.utility)) - 1;
  const since = points.at(-same) ?? last;
  return same === points.length ? `${figure(last.utility)} from the start.` : `${figure(last.utility)}, since ${amount(since.spend, unit)} were spent.`;
}

/** What the plot of utility against cost shows now. */
export function ofFront(trials: Trial[], job: Job): string {
  const known = trials.filter((trial) => trial.utility != null);
  if (known.length === 0) {
    return "Nothing has an estimate yet.";
  }
  const fit = known.filter((trial) => trial.valid === true).length;
  const budget = job.budgets.inference;
  const bound = budget == null ? "and no budget bounds a row" : `the budget of ${amount(within(budget, unitOf(budget)), unitOf(budget))} a row`;
  return budget == null
    ? `${count(known.length, "setting")} with an estimate, ${bound}.`
    : `${fit} of ${count(known.length, "setting")} fit ${bound}.`;
}

/** What the money was spent on, in one sentence. */
export function ofMoney(job: Job, report: Report | undefined): string {
  const unit = unitOf(job.budgets.optimization);
  const spent = within(job.spend, unit);
  if (report !== undefined) {
    const full = within(report.savings.full_evaluation, unit);
    const search = within(report.savings.spent, unit);
    if (full > search * 1.05) {
      return `Looking at every setting in full would have cost ${amount(full, unit)} in place of ${amount(search, unit)}.`;
    }
  }
  return `${amount(spent, unit)} for ${count(job.progress.responses, "answer")}.`;
}

/** What a job does at the moment: its phase, its pace, what is left, what it waits for. */
export function ofStanding(job: Job): string[] {
  const standing = job.standing;
  if (standing == null || hasEnded(job)) {
    return [];
  }
  const { phase, rate, remaining, waits_for } = standing;
  const doing: Record<string, string> = {
    calibration: "holds its judges against labels",
    baseline: "looks at the baseline",
    search: "searches",
    validation: "asks the held-out rows",
  };
  const said = [];
  if (phase != null) {
    said.push(doing[phase] ?? phase);
  }
  if (rate != null) {
    said.push(`${Number(rate.responses_per_second.toPrecision(2))} answers a second`);
  }
  if (remaining != null) {
    said.push(`at most ${duration(remaining.seconds)} to go`);
  }
  said.push(waits_for == null ? "waits for nothing" : waits_for.detail);
  return said;
}

type Heard = { time: string; words: string } | undefined;

/** An event as a line of the log; nothing for those that come by the hundred. */
export function logLine(event: JobEvent): Heard {
  const time = clock(event.created_at);
  const line = (words: string): Heard => ({ time, words });
  switch (event.type) {
    case "job.queued":
      return line("the job was posted");
    case "job.running":
      return line(event.data.attempt > 1 ? `a worker took it up (attempt ${event.data.attempt})` : "a worker took it up");
    case "job.pausing":
      return line("a pause was asked for");
    case "job.paused":
      return line("paused");
    case "job.resumed":
      return line("resumed");
    case "job.updated":
      return line(event.data.changes.map(change).join("; "));
    case "job.continued":
      return line(`continued, run ${event.data.run}: ${event.data.changes.map(change).join("; ")}`);
    case "job.warm_started":
      return line(`begins with what an earlier job knows: ${event.data.configurations} configurations, answers to ${count(event.data.rows, "row")}`);
    case "job.succeeded":
      return line(`succeeded: ${event.data.stop_reason.replaceAll("_", " ")}`);
    case "job.failed":
      return line("failed");
    case "job.cancelled":
      return line("cancelled");
    case "trial.enqueued":
      return line(`a configuration was put in by hand: ${shortName(event.data.configuration)}`);
    case "best.updated":
      return line(`trial ${event.data.trial} leads with ${figure(event.data.utility.mean)}`);
    case "trial.evaluated":
      return line(`trial ${event.data.trial} was seen: ${figure(event.data.utility.mean)}${event.data.valid ? "" : ", outside the budgets"}`);
    case "trial.pruned":
      return line(`trial ${event.data.trial} was given up: ${event.data.reason.replaceAll("_", " ")}`);
    case "trial.infeasible":
      return line(`trial ${event.data.trial} is refused by its endpoint`);
    case "trial.failed":
      return line(`trial ${event.data.trial} failed`);
    case "validation.completed":
      return line(`on held-out rows trial ${event.data.trial} scores ${figure(event.data.winner.mean)}`);
    case "endpoint.waiting":
      return line(`waits for ${event.data.model}: ${event.data.reason.replaceAll("_", " ")}`);
    case "endpoint.degraded":
      return line(`${event.data.model} is out of order`);
    case "endpoint.recovered":
      return line(`${event.data.model} is back`);
    default:
      return undefined;
  }
}

function change(one: { pointer: string; old?: unknown; new?: unknown }): string {
  const name = one.pointer.slice(1).replaceAll("/", " ");
  return `${name} from ${JSON.stringify(one.old ?? null)} to ${JSON.stringify(one.new ?? null)}`;
}

/** A sentence as it stands by itself. */
export function sentence(text: string): string {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

/** A fault of a document, with its place. */
export function fault(one: FieldError): string {
  return one.pointer === "" ? one.detail : `${one.pointer}: ${one.detail}`;
}
