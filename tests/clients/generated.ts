// What a program does with a client generated from openapi.yaml: posts a job, waits for its end, reads what was found.
import createClient from "openapi-fetch";
import { readFileSync } from "node:fs";
import type { components, paths } from "./schema.js";

const client = createClient<paths>({ baseUrl: process.argv[2] });
const body: components["schemas"]["JobPost"] = JSON.parse(readFileSync(0, "utf8"));
const posted = await client.POST("/jobs", { body });
if (!posted.data) throw new Error(JSON.stringify(posted.error));
const { id } = posted.data;
const ends: components["schemas"]["JobState"][] = ["succeeded", "failed", "cancelled"];
let job: components["schemas"]["Job"] = posted.data;
while (!ends.includes(job.state)) {
  const read = await client.GET("/jobs/{id}", { params: { path: { id }, query: { wait: 20 } } });
  if (!read.data) throw new Error(JSON.stringify(read.error));
  job = read.data;
}
console.log(JSON.stringify({ id, state: job.state, trial: job.best?.trial }));
