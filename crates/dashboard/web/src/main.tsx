// The dashboard: which page the address names, and a key where the server wants one.

import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { key, onKeyWanted } from "./api";
import { Compare } from "./compare";
import { JobPage } from "./job";
import { Jobs } from "./jobs";
import { NewJob } from "./new";
import { Datasets, Endpoints } from "./places";
import { TrialPage } from "./trial";

function Page({ route }: { route: string }) {
  const [first, second, third, fourth] = route.split("/");
  if (first === "jobs" && second !== undefined) {
    return third === "trials" && fourth !== undefined ? <TrialPage key={route} id={second} number={Number(fourth)} /> : <JobPage key={second} id={second} />;
  }
  switch (first) {
    case "new":
      return <NewJob />;
    case "compare":
      return <Compare ids={(second ?? "").split(",").filter((id) => id !== "")} />;
    case "endpoints":
      return <Endpoints />;
    case "datasets":
      return <Datasets />;
    default:
      return <Jobs />;
  }
}

function KeyEntry({ onDone }: { onDone: () => void }) {
  const [value, setValue] = useState("");
  return (
    <main>
      <form
        class="key"
        onSubmit={(event) => {
          event.preventDefault();
          key.set(value.trim());
          onDone();
        }}
      >
        <h1>This server wants a key</h1>
        <p class="say">
          The operator makes one with <code>frugal keys create</code>. It is kept in this tab alone.
        </p>
        <label class="field">
          Key <input type="password" autocomplete="off" value={value} onInput={(event) => setValue(event.currentTarget.value)} />
        </label>
        <button type="submit">Go on</button>
      </form>
    </main>
  );
}

function App() {
  const [route, setRoute] = useState(location.hash.replace(/^#\/?/, ""));
  const [wanted, setWanted] = useState(false);
  useEffect(() => {
    const moved = (): void => {
      setRoute(location.hash.replace(/^#\/?/, ""));
      scrollTo(0, 0);
    };
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  useEffect(() => onKeyWanted(() => setWanted(true)), []);
  const at = route.split("/")[0];
  const current = (name: string): "page" | undefined => (at === name || (name === "jobs" && (at === "" || at === "compare")) ? "page" : undefined);
  return (
    <>
      <header>
        <a href="#/" class="brand">
          Frugal
        </a>
        <nav aria-label="Pages">
          <a href="#/jobs" aria-current={current("jobs")}>
            Jobs
          </a>
          <a href="#/new" aria-current={current("new")}>
            New job
          </a>
          <a href="#/datasets" aria-current={current("datasets")}>
            Datasets
          </a>
          <a href="#/endpoints" aria-current={current("endpoints")}>
            Endpoints
          </a>
        </nav>
      </header>
      {wanted ? <KeyEntry onDone={() => setWanted(false)} /> : <Page route={route} />}
    </>
  );
}

const place = document.getElementById("app");
if (place !== null) {
  render(<App />, place);
}
