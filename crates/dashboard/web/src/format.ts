// Numbers as people read them.

import type { Configuration } from "./api";

/** Dollars, with as many digits as tell amounts of this size apart. */
export function dollars(value: number): string {
  if (value === 0) {
    return "$0";
  }
  const size = Math.abs(value);
  if (size >= 0.1) {
    return `$${value.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
  }
  const digits = Math.min(12, 2 - Math.floor(Math.log10(size)));
  return `$${value.toFixed(digits).replace(/0+$/, "")}`;
}

/** Tokens, with a comma for thousands. */
export function whole(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

export interface Amount {
  usd?: number | null;
  tokens?: number | null;
}

/** The unit that a budget is in. */
export function unitOf(budget: Amount): "usd" | "tokens" {
  return budget.usd == null ? "tokens" : "usd";
}

/** How much an amount is in a unit. */
export function within(amount: Amount, unit: "usd" | "tokens"): number {
  return amount[unit] ?? 0;
}

/** An amount in its unit. */
export function amount(value: number, unit: "usd" | "tokens"): string {
  return unit === "usd" ? dollars(value) : `${whole(value)} tokens`;
}

/** What a row costs; a dash where that is not known. */
export function priced(cost: { mean: number; unit: "usd" | "tokens" } | null | undefined): string {
  return cost == null ? "–" : amount(cost.mean, cost.unit);
}

/** A metric's value: two digits after the point for shares, four figures else. */
export function figure(value: number): string {
  const size = Math.abs(value);
  if (size <= 1) {
    return value.toFixed(2);
  }
  return Number(value.toPrecision(4)).toLocaleString("en-US");
}

/** A share as a percentage. */
export function percent(share: number): string {
  const value = share * 100;
  return `${value !== 0 && Math.abs(value) < 10 ? value.toFixed(1) : Math.round(value)} %`;
}

/** One number over another, in words. */
export function times(ratio: number): string {
  return `${ratio >= 9.95 ? Math.round(ratio) : ratio.toFixed(1)} times`;
}

/** How long something lasts. */
export function duration(seconds: number): string {
  if (seconds < 1) {
    return "under 1 s";
  }
  if (seconds < 100) {
    return `${Math.round(seconds)} s`;
  }
  const minutes = seconds / 60;
  if (minutes < 100) {
    return `${Math.round(minutes)} min`;
  }
  const hours = minutes / 60;
  return hours < 48 ? `${hours.toFixed(1)} h` : `${Math.round(hours / 24)} days`;
}

/** How long ago a moment is. */
export function ago(moment: string, now: number): string {
  return `${duration(Math.max(0, (now - Date.parse(moment)) / 1000))} ago`;
}

/** The time of day of a moment. */
export function clock(moment: string): string {
  return new Date(moment).toLocaleTimeString("en-GB");
}

/** A moment with its day. */
export function day(moment: string): string {
  return new Date(moment).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}

/** A setting's value. */
export function setting(value: unknown): string {
  if (typeof value === "number") {
    return Number.isInteger(value) ? whole(value) : String(Number(value.toPrecision(4)));
  }
  if (typeof value === "string") {
    return value;
  }
  return value === undefined ? "–" : JSON.stringify(value);
}

/** What a count is of, in the singular or the plural. */
export function count(number: number, one: string, many = `${one}s`): string {
  return `${whole(number)} ${number === 1 ? one : many}`;
}

const FIRST = ["model", "prompt"];
const LAST = ["max_tokens", "n"];

/** The settings of configurations that differ among them, the model first and the extent last. */
export function varying(configurations: Configuration[]): string[] {
  const values = new Map<string, Set<string>>();
  for (const configuration of configurations) {
    for (const name of Object.keys(configuration)) {
      if (!values.has(name)) {
        values.set(name, new Set());
      }
    }
  }
  for (const configuration of configurations) {
    for (const [name, seen] of values) {
      seen.add(JSON.stringify((configuration as Record<string, unknown>)[name] ?? null));
    }
  }
  const names = [...values].filter(([, seen]) => seen.size > 1).map(([name]) => name);
  const rank = (name: string): number => {
    const first = FIRST.indexOf(name);
    const last = LAST.indexOf(name);
    return first >= 0 ? first - FIRST.length : last >= 0 ? last + 1 : 0;
  };
  return names.sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
}

/** A configuration's short name: its model and its prompt. */
export function shortName(configuration: Configuration): string {
  const { model, prompt } = configuration as Record<string, unknown>;
  return [model, prompt].filter((part) => typeof part === "string").join(", ");
}
