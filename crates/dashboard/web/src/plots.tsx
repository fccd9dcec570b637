// The plots of a job. Selection is shared: a point that is picked is the row that is marked.

import type { Job, Trial } from "./api";
import { axis, Chart, tooltip, type Palette } from "./chart";
import { amount, dollars, figure, setting, shortName, unitOf, whole, within } from "./format";
import type { Lead } from "./live";
import { metricName } from "./words";

type Pick = (trial: number) => void;

function picked(onPick: Pick): (datum: unknown) => void {
  return (datum) => {
    const trial = (datum as { trial?: unknown } | undefined)?.trial;
    if (typeof trial === "number") {
      onPick(trial);
    }
  };
}

function money(unit: "usd" | "tokens"): (value: number) => string {
  return unit === "usd" ? dollars : (value) => (value >= 10_000 ? `${whole(value / 1000)}k` : whole(value));
}

/** An axis by powers of ten where values lie more than one apart, from a little below the least to a little above the most. */
function span(values: number[]): Record<string, unknown> {
  const low = Math.min(...values);
  const high = Math.max(...values);
  return low > 0 && high / low > 10 ? { type: "log", min: low * 0.8, max: high * 1.25 } : { type: "value", scale: true, splitNumber: 3 };
}

/** The utility of whatever led, over what was spent, with a standard error to each side. */
export function BestPlot({ job, leads, baseline, onPick }: { job: Job; leads: Lead[]; baseline?: Trial; onPick: Pick }) {
  const unit = unitOf(job.budgets.optimization);
  const now = within(job.spend, unit);
  const last = leads.at(-1);
  const points = last === undefined ? [] : [...leads, { ...last, spend: Math.max(now, last.spend) }];
  const option = (colours: Palette): Record<string, unknown> => ({
    grid: { left: 44, right: 12, top: 12, bottom: 24 },
    tooltip: tooltip(colours, {
      trigger: "axis",
      formatter: (items: { seriesIndex: number; data: { value: [number, number]; trial: number; error: number } }[]) => {
        const at = items.find((item) => item.seriesIndex === 2)?.data;
        return at === undefined
          ? ""
          : `${amount(at.value[0], unit)}\ntrial ${at.trial}: ${figure(at.value[1])} ± ${figure(at.error)}`;
      },
    }),
    xAxis: axis(colours, { type: "value", min: 0, splitLine: { show: false } }, money(unit)),
    yAxis: axis(colours, { type: "value", scale: true, splitNumber: 4 }, figure),
    series: [
      {
        type: "line",
        step: "end",
        stack: "band",
        symbol: "none",
        silent: true,
        lineStyle: { opacity: 0 },
        data: points.map((at) => [at.spend, at.utility - at.standardError]),
      },
      {
        type: "line",
        step: "end",
        stack: "band",
        symbol: "none",
        silent: true,
        stackStrategy: "all",
        lineStyle: { opacity: 0 },
        areaStyle: { color: colours.accent, opacity: 0.14 },
        data: points.map((at) => [at.spend, 2 * at.standardError]),
      },
      {
        type: "line",
        step: "end",
        symbol: "circle",
        symbolSize: 5,
        lineStyle: { color: colours.accent, width: 2 },
        itemStyle: { color: colours.accent },
        data: points.map((at) => ({ value: [at.spend, at.utility], trial: at.trial, error: at.standardError })),
        markLine:
          baseline?.utility == null
            ? undefined
            : {
                silent: true,
                symbol: "none",
                lineStyle: { color: colours.off, type: [3, 4] },
                label: { formatter: "baseline", color: colours.soft, position: "insideEndTop", fontSize: 11 },
                data: [{ yAxis: baseline.utility.mean }],
              },
      },
    ],
  });
  return <Chart label={`${metricName(job.objective.metric)} of the best setting over what was spent`} height={224} option={option} onPick={picked(onPick)} />;
}

/** The settings that no other beats at their cost, by cost. */
export function front(trials: Trial[], smaller: boolean): Trial[] {
  const known = trials
    .filter((trial) => trial.valid === true && trial.utility != null && trial.inference_cost != null)
    .sort((a, b) => cost(a) - cost(b));
  const sign = smaller ? -1 : 1;
  let best = -Infinity;
  return known.filter((trial) => {
    const value = sign * (trial.utility?.mean ?? 0);
    if (value <= best) {
      return false;
    }
    best = value;
    return true;
  });
}

function cost(trial: Trial): number {
  return trial.inference_cost?.mean ?? 0;
}

/** Every setting as a point: what a row costs and what it is worth. */
export function FrontPlot({ job, trials, selected, onPick }: { job: Job; trials: Trial[]; selected?: number; onPick: Pick }) {
  const inference = job.budgets.inference;
  const unit = inference == null ? unitOf(job.budgets.optimization) : unitOf(inference);
  const known = trials.filter((trial) => trial.utility != null && trial.inference_cost != null && cost(trial) > 0);
  const best = front(known, job.objective.direction === "minimize");
  const onFront = new Set(best.map((trial) => trial.number));
  const datum = (trial: Trial): Record<string, unknown> => ({
    value: [cost(trial), trial.utility?.mean],
    trial: trial.number,
    name: `trial ${trial.number}: ${shortName(trial.configuration)}`,
    error: trial.utility?.standard_error ?? 0,
    symbolSize: trial.number === selected ? 14 : undefined,
  });
  const option = (colours: Palette): Record<string, unknown> => {
    const points = (name: string, which: (trial: Trial) => boolean, symbol: string, style: Record<string, unknown>, size: number) => ({
      name,
      type: "scatter",
      symbol,
      symbolSize: size,
      itemStyle: style,
      large: false,
      data: known.filter(which).map(datum),
    });
    return {
      grid: { left: 44, right: 16, top: 12, bottom: 24 },
      tooltip: tooltip(colours, {
        formatter: (item: { data?: { name?: string; value: [number, number]; error: number } }) =>
          item.data?.name === undefined
            ? ""
            : `${item.data.name}\n${figure(item.data.value[1])} ± ${figure(item.data.error)}\n${amount(item.data.value[0], unit)} a row`,
      }),
      xAxis: axis(colours, { ...span(known.map(cost)), splitLine: { show: false } }, money(unit)),
      yAxis: axis(colours, { type: "value", scale: true, splitNumber: 4 }, figure),
      series: [
        {
          type: "line",
          symbol: "none",
          silent: true,
          lineStyle: { color: colours.accent, width: 1.5 },
          data: best.map((trial) => [cost(trial), trial.utility?.mean]),
          markLine:
            inference == null
              ? undefined
              : {
                  silent: true,
                  symbol: "none",
                  lineStyle: { color: colours.bad, type: [3, 4] },
                  label: { formatter: "budget", color: colours.soft, fontSize: 11, position: "insideEndTop" },
                  data: [{ xAxis: within(inference, unit) }],
                },
        },
        points("outside the budgets", (trial) => trial.valid !== true && trial.role !== "baseline", "path://M-1,-1L1,1M1,-1L-1,1", { color: "transparent", borderColor: colours.off, borderWidth: 1.5 }, 7),
        points("within", (trial) => trial.valid === true && trial.role !== "baseline" && !onFront.has(trial.number), "circle", { color: colours.panel, borderColor: colours.off, borderWidth: 1.5 }, 7),
        points("on the front", (trial) => onFront.has(trial.number) && trial.role !== "baseline", "circle", { color: colours.accent }, 8),
        points("baseline", (trial) => trial.role === "baseline", "rect", { color: colours.ink }, 8),
      ],
    };
  };
  return <Chart label="Utility of every setting against what a row costs under it" height={224} option={option} onPick={picked(onPick)} />;
}

/** Settings of trials side by side, a line for each; the better, the stronger. */
export function ParallelPlot({ job, trials, names, onPick }: { job: Job; trials: Trial[]; names: string[]; onPick: Pick }) {
  const known = trials.filter((trial) => trial.utility != null);
  const value = (trial: Trial, name: string): unknown => (trial.configuration as Record<string, unknown>)[name];
  const option = (colours: Palette): Record<string, unknown> => {
    const utilities = known.map((trial) => trial.utility?.mean ?? 0);
    const low = Math.min(...utilities);
    const span = Math.max(...utilities) - low || 1;
    const sign = job.objective.direction === "minimize" ? -1 : 1;
    const strength = (utility: number): number => 0.08 + 0.72 * (sign > 0 ? (utility - low) / span : 1 - (utility - low) / span);
    return {
      tooltip: tooltip(colours, { formatter: (item: { name?: string }) => item.name ?? "" }),
      parallel: { left: 48, right: 64, top: 32, bottom: 16 },
      parallelAxis: [
        ...names.map((name, dim) => {
          const values = known.map((trial) => value(trial, name));
          const numeric = values.every((one) => one === undefined || typeof one === "number");
          return axis(colours, {
            dim,
            name,
            type: numeric ? (name === "n" || name === "max_tokens" ? "log" : "value") : "category",
            ...(numeric ? { scale: true, min: "dataMin", max: "dataMax" } : { data: [...new Set(values.map(setting))] }),
          });
        }),
        axis(colours, { dim: names.length, name: metricName(job.objective.metric), type: "value", scale: true }, figure),
      ],
      series: [
        {
          type: "parallel",
          lineStyle: { width: 1.5 },
          emphasis: { lineStyle: { width: 3 } },
          data: known.map((trial) => ({
            name: `trial ${trial.number}: ${figure(trial.utility?.mean ?? 0)}`,
            trial: trial.number,
            value: [
              ...names.map((name) => {
                const one = value(trial, name);
                return typeof one === "number" ? one : setting(one);
              }),
              trial.utility?.mean ?? 0,
            ],
            lineStyle: { color: colours.accent, opacity: strength(trial.utility?.mean ?? 0) },
          })),
        },
      ],
    };
  };
  return <Chart label="The settings of every trial side by side" height={264} option={option} onPick={picked(onPick)} />;
}

/** What one setting does to the utility, a point for each trial. */
export function SlicePlot({ job, trials, name, onPick }: { job: Job; trials: Trial[]; name: string; onPick: Pick }) {
  const known = trials.filter((trial) => trial.utility != null && (trial.configuration as Record<string, unknown>)[name] !== undefined);
  const values = known.map((trial) => (trial.configuration as Record<string, unknown>)[name]);
  const numeric = values.every((value) => typeof value === "number");
  const option = (colours: Palette): Record<string, unknown> => ({
    grid: { left: 44, right: 16, top: 8, bottom: 24 },
    tooltip: tooltip(colours, { formatter: (item: { name?: string }) => item.name ?? "" }),
    xAxis: axis(colours, numeric ? { ...span(values as number[]), splitLine: { show: false } } : { type: "category", data: [...new Set(values.map(setting))] }),
    yAxis: axis(colours, { type: "value", scale: true, splitNumber: 3 }, figure),
    series: [
      {
        type: "scatter",
        symbolSize: 7,
        itemStyle: { color: colours.accent, opacity: 0.6 },
        data: known.map((trial, index) => ({
          name: `trial ${trial.number}, ${name} ${setting(values[index])}: ${figure(trial.utility?.mean ?? 0)}`,
          trial: trial.number,
          value: [numeric ? values[index] : setting(values[index]), trial.utility?.mean ?? 0],
        })),
      },
    ],
  });
  return <Chart label={`${metricName(job.objective.metric)} against ${name}`} height={160} option={option} onPick={picked(onPick)} />;
}
