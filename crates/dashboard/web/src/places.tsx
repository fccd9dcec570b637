// Endpoints and datasets: what jobs may name.

import { get, send, type Dataset, type Endpoint, type Page } from "./api";
import { ago, amount, count, whole } from "./format";
import { usePolled } from "./live";
import { Act, Scroll, Trouble } from "./parts";

export function Endpoints() {
  const [page, error] = usePolled((signal) => get<Page<Endpoint>>("/endpoints", signal), 5, "endpoints");
  return (
    <main>
      <h1>Endpoints</h1>
      {error !== undefined && <Trouble error={error} />}
      {page !== undefined && page.data.length === 0 && (
        <p class="empty">
          No endpoint is configured. Name one in <code>frugal.toml</code> and start the server again.
        </p>
      )}
      {page?.data.map((endpoint) => (
        <section key={endpoint.name}>
          <h2>{endpoint.name}</h2>
          <p class="say">
            {endpoint.host}
            {endpoint.allow_unlisted_models ? "; jobs may name models that are not listed" : ""}
          </p>
          <Scroll label="Models">
            <table>
              <thead>
                <tr>
                  <th class="text">Model</th>
                  <th class="text">Health</th>
                  <th>In, a million</th>
                  <th>Out, a million</th>
                  <th>Answered</th>
                  <th>Failed</th>
                  <th>Latency</th>
                  <th>Last answer</th>
                </tr>
              </thead>
              <tbody>
                {endpoint.models.map((model) => {
                  const { health, prices } = model;
                  const out = health?.outage != null;
                  return (
                    <tr key={model.name}>
                      <td class="text">{model.name}</td>
                      <td class="text">
                        <span class={`state ${out ? "failed" : health?.last_success_at == null ? "queued" : "succeeded"}`}>
                          <i aria-hidden="true" />
                          {out ? "out of order" : health?.last_success_at == null ? "not tried yet" : "answers"}
                        </span>
                      </td>
                      <td>{prices == null ? "–" : amount(prices.input_usd_per_million, "usd")}</td>
                      <td>{prices == null ? "–" : amount(prices.output_usd_per_million, "usd")}</td>
                      <td>{whole(health?.answered ?? 0)}</td>
                      <td title={health?.last_failure ?? undefined}>{whole(health?.failed ?? 0)}</td>
                      <td>{health?.mean_latency_ms == null ? "–" : `${whole(health.mean_latency_ms)} ms`}</td>
                      <td>{health?.last_success_at == null ? "–" : ago(health.last_success_at, Date.now())}</td>
                    </tr>
                  );
                })}
              </tbody>
            </table>
          </Scroll>
        </section>
      ))}
    </main>
  );
}

export function Datasets() {
  const [page, error] = usePolled((signal) => get<Page<Dataset>>("/datasets?limit=100", signal), 5, "datasets");
  return (
    <main>
      <h1>Datasets</h1>
      {error !== undefined && <Trouble error={error} />}
      {page !== undefined && page.data.length === 0 && (
        <p class="empty">
          No datasets yet. <code>frugal datasets add FILE</code> takes JSONL and CSV; a job may bring its rows itself too.
        </p>
      )}
      {page !== undefined && page.data.length > 0 && (
        <Scroll label="Datasets">
          <table>
            <thead>
              <tr>
                <th class="text">Name</th>
                <th>Rows</th>
                <th class="text">Fields</th>
                <th>Jobs</th>
                <th>Posted</th>
                <th>
                  <span class="hidden">Deeds</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {page.data.map((dataset) => (
                <tr key={dataset.id}>
                  <td class="text">{dataset.name}</td>
                  <td>{whole(dataset.rows)}</td>
                  <td class="text fields">{dataset.columns.map((column) => column.name).join(", ")}</td>
                  <td>{count(dataset.jobs, "job")}</td>
                  <td>{ago(dataset.created_at, Date.now())}</td>
                  <td>
                    <Act
                      label="Delete"
                      asks={`Delete ${dataset.name}? Jobs that were made of it keep their rows.`}
                      does={() => send("DELETE", `/datasets/${encodeURIComponent(dataset.name)}`)}
                    />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </main>
  );
}
