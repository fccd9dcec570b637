// Several jobs side by side.

import { get, type Job, type Report } from "./api";
import { amount, figure, priced, setting, unitOf, within } from "./format";
import { usePolled } from "./live";
import { Scroll, State, Trouble } from "./parts";
import { hasEnded, metricName, verdict } from "./words";

interface Seen {
  job: Job;
  report?: Report;
}

async function read(id: string, signal: AbortSignal): Promise<Seen> {
  const job = await get<Job>(`/jobs/${id}`, signal);
  const report = hasEnded(job) ? await get<Report>(`/jobs/${id}/report`, signal).catch(() => undefined) : undefined;
  return { job, report };
}

export function Compare({ ids }: { ids: string[] }) {
  const [seen, error] = usePolled((signal) => Promise.all(ids.map((id) => read(id, signal))), 5, ids.join());
  const rows: [string, (one: Seen) => string][] = [
    ["objective", ({ job }) => metricName(job.objective.metric)],
    ["spent", ({ job }) => amount(within(job.spend, unitOf(job.budgets.optimization)), unitOf(job.budgets.optimization))],
    ["a row may cost", ({ job }) => (job.budgets.inference == null ? "anything" : amount(within(job.budgets.inference, unitOf(job.budgets.inference)), unitOf(job.budgets.inference)))],
    ["settings seen", ({ job }) => String(job.progress.trials.total)],
    ["best", ({ job }) => (job.best == null ? "–" : figure(job.best.utility.mean))],
    ["a row costs", ({ job }) => priced(job.best?.inference_cost)],
    ["on held-out rows", ({ report }) => (report?.holdout == null ? "–" : figure(report.holdout.winner.mean))],
  ];
  const names = [...new Set((seen ?? []).flatMap(({ job }) => Object.keys(job.best?.configuration ?? {})))];
  return (
    <main>
      <h1>Jobs side by side</h1>
      {error !== undefined && <Trouble error={error} />}
      {seen !== undefined && (
        <Scroll label="Jobs side by side">
          <table>
            <thead>
              <tr>
                <th class="text">
                  <span class="hidden">What</span>
                </th>
                {seen.map(({ job }) => (
                  <th key={job.id}>
                    <a href={`#/jobs/${job.id}`}>{job.name ?? job.id}</a>
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              <tr>
                <td class="text">state</td>
                {seen.map(({ job }) => (
                  <td key={job.id}>
                    <State state={job.state} />
                  </td>
                ))}
              </tr>
              {rows.map(([name, value]) => (
                <tr key={name}>
                  <td class="text">{name}</td>
                  {seen.map((one) => (
                    <td key={one.job.id}>{value(one)}</td>
                  ))}
                </tr>
              ))}
              {names.map((name) => (
                <tr key={name}>
                  <td class="text">{name}</td>
                  {seen.map(({ job }) => (
                    <td key={job.id}>{setting((job.best?.configuration as Record<string, unknown> | undefined)?.[name])}</td>
                  ))}
                </tr>
              ))}
              <tr>
                <td class="text">in words</td>
                {seen.map(({ job, report }) => (
                  <td key={job.id} class="words">
                    {report === undefined ? "It has not ended." : verdict(report)}
                  </td>
                ))}
              </tr>
            </tbody>
          </table>
        </Scroll>
      )}
    </main>
  );
}
