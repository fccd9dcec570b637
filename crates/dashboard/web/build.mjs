// Builds what the server carries, in ../dist, and notes which sources it was built of.

import { build } from "esbuild";
import { createHash } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";

const dist = new URL("../dist/", import.meta.url);
await mkdir(dist, { recursive: true });
await build({
  absWorkingDir: import.meta.dirname,
  entryPoints: { app: "src/main.tsx" },
  outdir: "../dist",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "linked",
});
await build({ absWorkingDir: import.meta.dirname, entryPoints: ["app.css"], outdir: "../dist", minify: true });
for (const name of ["index.html", "icon.svg"]) {
  await copyFile(new URL(name, import.meta.url), new URL(name, dist));
}

// The same sum is made by a test of the crate, so that no built file is older than its sources.
const sources = (await readdir(new URL("src/", import.meta.url))).filter((name) => name !== "schema.d.ts").map((name) => `src/${name}`);
const hash = createHash("sha256");
for (const name of [...sources, "app.css", "build.mjs", "icon.svg", "index.html", "package-lock.json", "tsconfig.json"].sort()) {
  hash.update(name);
  hash.update("\0");
  hash.update(await readFile(new URL(name, import.meta.url)));
  hash.update("\0");
}
await writeFile(new URL("sources.sha256", dist), `${hash.digest("hex")}\n`);
