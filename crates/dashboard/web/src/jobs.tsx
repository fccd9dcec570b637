// The list of jobs.

import { useState } from "preact/hooks";
import { get, type JobSummary, type Page } from "./api";
import { ago, count, figure } from "./format";
import { usePolled } from "./live";
import { Meter, Pager, Scroll, Spend, State, Trouble } from "./parts";
import { metricName } from "./words";

const STATES = ["queued", "running", "paused", "succeeded", "failed", "cancelled"];
const EVERY_SECONDS = 3;
const PAGE = 50;

export function Jobs() {
  const [state, setState] = useState("");
  const [search, setSearch] = useState("");
  const [cursors, setCursors] = useState<string[]>([]);
  const [chosen, setChosen] = useState<Set<string>>(new Set());
  const cursor = cursors.at(-1);
  const query = new URLSearchParams({ limit: String(PAGE) });
  if (state !== "") {
    query.set("state", state);
  }
  const wanted = search.trim();
  if (wanted !== "") {
    // A label is its name, a colon and its value, as the API has it.
    query.set(wanted.includes(":") ? "label" : "name", wanted);
  }
  if (cursor !== undefined) {
    query.set("cursor", cursor);
  }
  const [page, error] = usePolled((signal) => get<Page<JobSummary>>(`/jobs?${query}`, signal), EVERY_SECONDS, query.toString());
  const jobs = page?.data ?? [];
  const choose = (id: string): void => {
    const next = new Set(chosen);
    if (!next.delete(id)) {
      next.add(id);
    }
    setChosen(next);
  };

  return (
    <main>
      <div class="row">
        <h1>Jobs</h1>
        <span class="grow" />
        <label>
          State{" "}
          <select
            value={state}
            onChange={(event) => {
              setState(event.currentTarget.value);
              setCursors([]);
            }}
          >
            <option value="">any</option>
            {STATES.map((one) => (
              <option key={one} value={one}>
                {one}
              </option>
            ))}
          </select>
        </label>
        <label>
          Name or label <input type="search" placeholder="sums, team:search" value={search} onInput={(event) => {
              setSearch(event.currentTarget.value);
              setCursors([]);
            }}
          />
        </label>
        {chosen.size >= 2 && (
          <a class="button" href={`#/compare/${[...chosen].join(",")}`}>
            Compare {chosen.size}
          </a>
        )}
        <a class="button strong" href="#/new">
          New job
        </a>
      </div>
      {error !== undefined && <Trouble error={error} />}
      {page !== undefined && jobs.length === 0 && (
        <p class="empty">
          {state === "" && wanted === "" && cursor === undefined ? (
            <>
              No jobs yet. <a href="#/new">Make one from a few rows</a>, or POST one to <code>/jobs</code>.
            </>
          ) : (
            "No job here is like that."
          )}
        </p>
      )}
      {jobs.length > 0 && (
        <Scroll label="Jobs">
          <table>
            <thead>
              <tr>
                <th>
                  <span class="hidden">Chosen</span>
                </th>
                <th class="text">Name</th>
                <th class="text">State</th>
                <th class="text">Spend</th>
                <th>Settings seen</th>
                <th>Best</th>
                <th>Posted</th>
              </tr>
            </thead>
            <tbody>
              {jobs.map((job) => (
                <tr key={job.id}>
                  <td>
                    <input type="checkbox" aria-label={`Choose ${job.name ?? job.id}`} checked={chosen.has(job.id)} onChange={() => choose(job.id)} />
                  </td>
                  <td class="text name">
                    <a href={`#/jobs/${job.id}`}>{job.name ?? job.id}</a>
                    {Object.entries(job.labels).map(([name, value]) => (
                      <span key={name} class="tag">
                        {" "}
                        {name}:{value}
                      </span>
                    ))}
                  </td>
                  <td class="text">
                    <State state={job.state} />
                  </td>
                  <td class="text">
                    <Spend job={job} />
                    <Meter job={job} />
                  </td>
                  <td>{job.progress.trials.total}</td>
                  <td title={metricName(job.objective.metric)}>{job.best == null ? "–" : figure(job.best.utility.mean)}</td>
                  <td>{ago(job.created_at, Date.now())}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
      <Pager cursors={cursors} page={page} before="Newer" after="Older" onMove={setCursors}>
        <span class="tag">{count(jobs.length, "job")} on this page</span>
      </Pager>
    </main>
  );
}
