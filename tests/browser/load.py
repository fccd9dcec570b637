"""How soon the dashboard shows 10 jobs of 1,000 trials each, and how long what comes in keeps a page busy.

Takes the path of the `frugal` program and that of Chromium; `.ci/browser-load` runs it. Ends with an error where a page
takes more than a second to be painted first, or an update more than 100 ms.
"""

import concurrent.futures
import statistics
import sys

import house
from playwright.sync_api import expect, sync_playwright

JOBS = 10
TRIALS = 1000
FIRST_PAINT_MS = 1000
UPDATE_MS = 100
LONG_SECONDS = 900

# What keeps the page busy for more than 50 ms at once.
OBSERVE = """
globalThis.busy = [];
new PerformanceObserver((list) => busy.push(...list.getEntries().map((one) => [one.startTime, one.duration])))
  .observe({ type: "longtask", buffered: true });
"""


def job(name):
    """A job of so many trials, each of one answer."""
    return {
        **house.job(name, dollars=1000),
        "data": {"instances": house.rows()[:1]},
        "search_space": {"temperature": {"float": [0, 1.5]}, "max_tokens": {"int": [8, 64]}, "n": 1},
        "budgets": {"inference": {"usd": 0.0002}, "optimization": {"usd": 1000}},
        "limits": {"trials": TRIALS},
        "search": {"extent": "searched", "algorithm": "random", "pruning": "off", "parallel_trials": 16, "requests_in_flight": 32},
    }


def trials_of(server, one):
    """Waits until a job has ended, and gives how many trials it has."""
    return server.ended(one, LONG_SECONDS)["progress"]["trials"]["total"]


def opened(page, address, ready):
    """Opens a view and waits until it shows what it is for. When it was painted first and when it was ready, in ms."""
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector(ready, timeout=60_000)
    return page.evaluate("[performance.getEntriesByName('first-contentful-paint')[0].startTime, performance.now()]")


def updates(page, server, address):
    """Follows a job from its beginning to its end. How long it kept the page busy, each time by itself, in ms."""
    one = server.ask("/jobs", job("live"))["id"]
    page.goto("about:blank")
    page.goto(f"{address}/#/jobs/{one}")
    page.wait_for_selector(".trials tbody tr")
    loaded = page.evaluate("performance.now()")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(trials_of, server, one)
        while not waiting.done():
            page.wait_for_timeout(500)
        trials = waiting.result()
    expect(page.locator(".top .state")).to_have_text("succeeded", timeout=60_000)
    busy = [duration for start, duration in page.evaluate("busy") if start > loaded]
    return trials, busy


def main(program, chromium):
    with house.folder("load") as folder:
        with house.server(program, folder, latency=0, workers=2) as server, sync_playwright() as playwright:
            jobs = [server.ask("/jobs", job(f"load {number}"))["id"] for number in range(JOBS)]
            trials = sum(trials_of(server, one) for one in jobs)
            print(f"{JOBS} jobs, {trials} trials")
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.add_init_script(OBSERVE)
            views = {
                "the list of jobs": ("jobs", f"tbody tr:nth-child({JOBS})"),
                "a job": (f"jobs/{jobs[0]}", ".trials tbody tr"),
            }
            paints = []
            for name, (route, ready) in views.items():
                seen = [opened(page, f"{server.url}/#/{route}", ready) for _ in range(5)]
                painted, shown = (statistics.median(times) for times in zip(*seen, strict=True))
                print(f"{name}: first paint after {painted:.0f} ms, its rows after {shown:.0f} ms (medians of {len(seen)})")
                paints.append(painted)
            count, busy = updates(page, server, server.url)
            longest = max(busy, default=0)
            print(f"a job of {count} trials, live: {len(busy)} updates took more than 50 ms, the longest {longest:.0f} ms")
            browser.close()
    if max(paints) > FIRST_PAINT_MS or longest > UPDATE_MS:
        sys.exit(f"slower than {FIRST_PAINT_MS} ms to the first paint and {UPDATE_MS} ms an update")


if __name__ == "__main__":
    main(*sys.argv[1:])
