// A job as it runs: read once, then kept true by its events.

import { useEffect, useRef, useState } from "preact/hooks";
import { follow, get, pages, Refused, type Job, type JobEvent, type Report, type Trial } from "./api";
import { within, unitOf } from "./format";
import { hasEnded } from "./words";

/** How often at most the page asks anew for what events say has changed. */
const REFRESH_MS = 500;
/** How often at most the page is drawn anew. */
const REDRAW_MS = 200;
/** Of how many trials each is asked for by itself; of more, the list is. */
const MOST_SINGLE_TRIALS = 8;
/** Lines that the log keeps. */
const MOST_LINES = 200;

/** Who led when so much was spent. */
export interface Lead {
  spend: number;
  utility: number;
  standardError: number;
  trial: number;
}

export interface Live {
  job?: Job;
  trials: Trial[];
  report?: Report;
  leads: Lead[];
  /** The newest first. */
  log: JobEvent[];
  connected: boolean;
  error?: Refused;
}

const QUIET = new Set(["budget.updated", "job.progress", "trial.progress", "trial.started", "endpoint.overhead"]);

/** A job and all that it has, kept true until the page is left. */
export function useLive(id: string): Live {
  const [live, setLive] = useState<Live>({ trials: [], leads: [], log: [], connected: true });
  useEffect(() => {
    const stop = new AbortController();
    void new Follower(`/jobs/${id}`, stop.signal, setLive).run();
    return () => stop.abort();
  }, [id]);
  return live;
}

class Follower {
  private job?: Job;
  private report?: Report;
  private readonly trials = new Map<number, Trial>();
  private readonly dirty = new Set<number>();
  /** As a list; made anew only where one of them has changed, so that whatever shows them can tell. */
  private listed?: Trial[];
  private leads: Lead[] = [];
  private log: JobEvent[] = [];
  private spent = 0;
  private connected = true;
  private refreshing?: Promise<void>;
  private again = false;
  private shown?: ReturnType<typeof setTimeout>;
  private drawnAt = -Infinity;
  /** The number of the last event that what was read at first already knows of. */
  private known = 0;

  constructor(
    private readonly path: string,
    private readonly signal: AbortSignal,
    private readonly show: (live: Live) => void,
  ) {}

  async run(): Promise<void> {
    try {
      this.job = await get<Job>(this.path, this.signal);
      this.known = this.job.last_seq;
      this.draw();
      await Promise.all([this.readTrials(), this.readReport()]);
      await follow(
        `${this.path}/events`,
        0,
        (event) => this.hear(event),
        (is) => {
          this.connected = is;
          this.draw();
        },
        this.signal,
      );
    } catch (error) {
      this.fail(error);
    }
  }

  private async readTrials(): Promise<void> {
    for await (const page of pages<Trial>(`${this.path}/trials`, this.signal)) {
      page.forEach((trial) => this.keep(trial));
      this.draw();
    }
  }

  private keep(trial: Trial): void {
    this.trials.set(trial.number, trial);
    this.listed = undefined;
  }

  private async readReport(): Promise<void> {
    if (this.job !== undefined && hasEnded(this.job)) {
      this.report = await get<Report>(`${this.path}/report`, this.signal).catch(() => undefined);
    } else {
      this.report = undefined;
    }
  }

  private hear(event: JobEvent): void {
    const unit = this.job === undefined ? "usd" : unitOf(this.job.budgets.optimization);
    switch (event.type) {
      case "budget.updated":
        this.spent = within(event.data.spend, unit);
        break;
      case "best.updated":
        this.leads = [
          ...this.leads,
          {
            spend: event.data.spend == null ? this.spent : within(event.data.spend, unit),
            utility: event.data.utility.mean,
            standardError: event.data.utility.standard_error ?? 0,
            trial: event.data.trial,
          },
        ];
        break;
      default:
        break;
    }
    if (!QUIET.has(event.type)) {
      this.log = [event, ...this.log.slice(0, MOST_LINES - 1)];
    }
    if (event.seq > this.known) {
      if ("trial" in event.data && typeof event.data.trial === "number") {
        this.dirty.add(event.data.trial);
      }
      this.refresh();
    }
    this.draw();
  }

  /** Asks anew for what has changed, at most twice a second. */
  private refresh(): void {
    if (this.refreshing !== undefined) {
      this.again = true;
      return;
    }
    this.refreshing = this.readChanged()
      .catch((error: unknown) => this.fail(error))
      .then(() => new Promise<void>((resolve) => setTimeout(resolve, REFRESH_MS)))
      .then(() => {
        this.refreshing = undefined;
        if (this.again && !this.signal.aborted) {
          this.again = false;
          this.refresh();
        }
      });
  }

  private async readChanged(): Promise<void> {
    const numbers = [...this.dirty];
    this.dirty.clear();
    const state = this.job?.state;
    this.job = await get<Job>(this.path, this.signal);
    if (numbers.length > MOST_SINGLE_TRIALS || (hasEnded(this.job) && this.job.state !== state)) {
      await this.readTrials();
    } else {
      const read = await Promise.all(numbers.map((number) => get<Trial>(`${this.path}/trials/${number}`, this.signal)));
      read.forEach((trial) => this.keep(trial));
    }
    if (this.job.state !== state) {
      await this.readReport();
    }
    this.draw();
  }

  private fail(error: unknown): void {
    if (!this.signal.aborted) {
      this.draw(error instanceof Refused ? error : new Refused(0, "page", String(error)));
    }
  }

  /** Shows what is known, soon, and no more often than it is worth. */
  private draw(error?: Refused): void {
    if (this.signal.aborted || (this.shown !== undefined && error === undefined)) {
      return;
    }
    this.shown = setTimeout(() => {
      this.shown = undefined;
      if (!this.signal.aborted) {
        this.drawnAt = performance.now();
        this.listed ??= [...this.trials.values()].sort((a, b) => a.number - b.number);
        this.show({
          job: this.job,
          trials: this.listed,
          report: this.report,
          leads: this.leads,
          log: this.log,
          connected: this.connected,
          error,
        });
      }
    }, Math.max(0, this.drawnAt + REDRAW_MS - performance.now()));
  }
}

/** A value that changes at most so often, however often what it follows does; at once where `isOver`. */
export function useSlow<T>(value: T, milliseconds: number, isOver: boolean): T {
  const [slow, setSlow] = useState(value);
  const changedAt = useRef(-Infinity);
  useEffect(() => {
    const wait = isOver ? 0 : Math.max(0, changedAt.current + milliseconds - performance.now());
    const timer = setTimeout(() => {
      changedAt.current = performance.now();
      setSlow(() => value);
    }, wait);
    return () => clearTimeout(timer);
  }, [value, isOver]);
  return slow;
}

/** What stands at a path, asked for again every so often while the page is looked at. */
export function usePolled<T>(read: (signal: AbortSignal) => Promise<T>, seconds: number, key: string): [T | undefined, Refused | undefined] {
  const [value, setValue] = useState<T>();
  const [error, setError] = useState<Refused>();
  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    const round = async (): Promise<void> => {
      if (!document.hidden) {
        try {
          const read_ = await read(stop.signal);
          if (!stop.signal.aborted) {
            setValue(() => read_);
            setError(undefined);
          }
        } catch (caught) {
          if (!stop.signal.aborted) {
            setError(caught instanceof Refused ? caught : new Refused(0, "page", String(caught)));
          }
        }
      }
      if (!stop.signal.aborted && seconds > 0) {
        timer = setTimeout(() => void round(), seconds * 1000);
      }
    };
    void round();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [key, seconds]);
  return [value, error];
}
