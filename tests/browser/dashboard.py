"""The dashboard in Chromium, what somebody sees and does there, and the page that describes the API.

Takes the path of the `frugal` program and, to have every view as a picture, a folder; `.ci/browser` runs it.
"""

import pathlib
import re
import sys
import unittest

import house
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SIZES = {"wide": (1280, 900), "narrow": (390, 844)}
SERIOUS = {"serious", "critical"}
MILLISECONDS = 1000 * house.SECONDS

expect.set_options(timeout=MILLISECONDS)


class Dashboard(unittest.TestCase):
    """One server and one browser for all tests; each has a page of its own."""

    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(house.folder("browser"))
        cls.elsewhere = cls.enterClassContext(house.page())
        allowed = f'[api]\ncors_origins = ["{cls.elsewhere}"]\n'
        cls.server = cls.enterClassContext(house.server(PROGRAM, folder, allowed))
        cls.browser = cls.enterClassContext(sync_playwright()).chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        cls.addClassCleanup(cls.browser.close)

    def page(self, route="", port=None, **settings):
        """A page of the dashboard. Nothing that it says on the console may be an error."""
        context = self.browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **settings})
        self.addCleanup(context.close)
        page = context.new_page()
        said = []
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda line: line.type == "error" and said.append(line.text))
        # What the server refuses, or cannot be asked, is shown on the page and looked for there.
        self.addCleanup(lambda: self.assertEqual([line for line in said if not line.startswith("Failed to load")], []))
        page.goto(f"http://127.0.0.1:{port or self.server.port}/#/{route}")
        return page

    def post(self, name, **more):
        """A job that was posted over the API."""
        return self.server.ask("/jobs", {**house.job(name), **more})["id"]

    def ended(self, job):
        """Waits until a job has ended, and gives how."""
        return self.server.ended(job)["state"]

    def test_a_job_is_followed_from_queued_to_succeeded_over_a_cut_stream(self):
        before, job = self.post("before"), self.post("followed")
        wire = house.Wire(self.server.port)
        page = self.page(f"jobs/{job}", port=wire.port)
        state = page.locator(".top .state")
        expect(state).to_have_text("queued")
        expect(page.get_by_text("It waits for a worker.")).to_be_visible()
        expect(state).to_have_text("running")
        expect(page.locator(".trials tbody tr").first).to_be_visible()

        wire.cut()
        expect(page.get_by_text("the connection is lost")).to_be_visible()
        wire.mend()
        expect(page.get_by_text("the connection is lost")).to_be_hidden()
        expect(state).to_have_text("succeeded")
        self.assertEqual(self.ended(before), "succeeded")

        report = self.server.ask(f"/jobs/{job}/report")
        self.assertIn(f"trial {report['winner']['trial']}", report["summary"])
        expect(page.locator(".lead")).to_have_text(report["summary"])
        # Nothing was missed while there was no connection.
        trials = self.server.ask(f"/jobs/{job}")["progress"]["trials"]["total"]
        expect(page.locator(".trials tbody tr")).to_have_count(min(trials, 25))
        expect(page.locator(".log")).to_contain_text("succeeded")

    def test_a_page_of_another_origin_follows_a_job_over_a_cut_stream(self):
        job = self.post("from elsewhere")
        wire = house.Wire(self.server.port)
        page = self.browser.new_page()
        self.addCleanup(page.close)
        page.goto(self.elsewhere)
        page.evaluate(
            """([url, types]) => {
                window.seen = [];
                const events = new EventSource(url);
                for (const type of types) {
                    events.addEventListener(type, (event) => {
                        window.seen.push([Number(event.lastEventId), type]);
                        if (["job.succeeded", "job.failed", "job.cancelled"].includes(type)) events.close();
                    });
                }
            }""",
            [f"http://127.0.0.1:{wire.port}/jobs/{job}/events", house.event_types()],
        )

        def seen():
            return page.evaluate("window.seen")

        house.until("the first events", lambda: len(seen()) > 4)
        wire.cut()
        wire.mend()
        self.assertEqual(self.ended(job), "succeeded")
        house.until("the last event", lambda: seen()[-1][1] == "job.succeeded")
        self.assertEqual([number for number, _ in seen()], list(range(1, self.server.ask(f"/jobs/{job}")["last_seq"] + 1)))
        # Another origin that the operator does not name sees nothing.
        with house.page() as stranger:
            page.goto(stranger)
            refused = page.evaluate("(url) => fetch(url).then(() => 'seen', () => 'refused')", f"{self.server.url}/jobs/{job}")
            self.assertEqual(refused, "refused")

    def test_a_job_is_paused_resumed_given_more_and_cancelled(self):
        job = self.post("steered", budgets={"inference": {"usd": 0.0002}, "optimization": {"usd": 0.5}})
        page = self.page(f"jobs/{job}")
        state = page.locator(".top .state")
        expect(state).to_have_text("running")
        page.get_by_role("button", name="Pause").click()
        expect(state).to_have_text("paused")
        self.assertEqual(self.server.state(job), "paused")
        page.get_by_role("button", name="Change budget").click()
        page.get_by_label("Optimization budget").fill("0.75")
        page.get_by_role("button", name="Set").click()
        expect(page.locator(".facts")).to_contain_text("of $0.75")
        page.get_by_role("button", name="Resume").click()
        expect(state).to_have_text("running")
        page.once("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Cancel").click()
        expect(state).to_have_text("cancelled")
        self.assertEqual(self.ended(job), "cancelled")

    def test_a_job_is_made_from_the_form(self):
        page = self.page("new")
        page.get_by_label("Name of the job").fill("from the form")
        table = "question,answer\n" + "\n".join(f"{row['question']},{row['answer']}" for row in house.rows())
        page.get_by_label("Rows", exact=True).fill(table)
        expect(page.get_by_text("20 rows with question, answer.")).to_be_visible()
        page.get_by_role("checkbox", name="small").check()
        page.get_by_label("Template").fill("{{ question }} Think.")
        expect(page.get_by_text("What is 3 + 1? Think.")).to_be_visible()
        page.get_by_label("It is good if").select_option("numeric")
        page.get_by_label("Try it").fill("I think that it is 5.")
        expect(page.get_by_text("extracted `5`, expected `4`")).to_be_visible()
        page.get_by_label("A row at most", exact=True).fill("0.0002")
        # What the server finds wrong is said where it is, before anything is posted.
        page.get_by_label("All together at most").fill("-1")
        expect(page.get_by_role("alert")).to_contain_text("/budgets/optimization")
        page.get_by_label("All together at most").fill("0.01")
        page.get_by_label("Tokens of an answer at most").fill("64")
        expect(page.get_by_text("rows held out", exact=True)).to_be_visible()
        page.get_by_role("button", name="Post the job").click()
        expect(page).to_have_url(re.compile("#/jobs/"))
        expect(page.get_by_role("heading", name="from the form")).to_be_visible()
        job = page.url.rsplit("/", 1)[1]
        self.assertEqual(self.ended(job), "succeeded")
        expect(page.locator(".top .state")).to_have_text("succeeded")

    def serious(self, page, within=None):
        """What keeps people from using a page, or some places of it."""
        context = within and {"include": within}
        found = [one for one in Axe().run(page, context=context).response["violations"] if one["impact"] in SERIOUS]
        return [(one["id"], one["nodes"][0]["html"]) for one in found]

    def picture(self, page, name, scheme, size):
        """Leaves a picture of all of a view. What is out of sight is not drawn, so the window is made as high as the page."""
        width, height = SIZES[size]
        page.set_viewport_size({"width": width, "height": page.evaluate("document.documentElement.scrollHeight")})
        page.wait_for_timeout(300)
        page.screenshot(path=PICTURES / f"{name}-{scheme}-{size}.png", full_page=True)
        page.set_viewport_size({"width": width, "height": height})

    def test_what_is_not_there_is_said_in_words(self):
        page = self.page("jobs/01900000-0000-7000-8000-000000000000")
        expect(page.get_by_role("alert")).to_contain_text("01900000-0000-7000-8000-000000000000")

    def test_the_description_of_the_api_has_every_operation_and_needs_nobody_else(self):
        openapi = (pathlib.Path(__file__).parents[2] / "openapi.yaml").read_text()
        operations = set(re.findall(r"^ +operationId: (\S+)$", openapi, re.MULTILINE))
        schemas = set(re.findall(r"^ +\$ref: '?#/components/schemas/(\w+)'?$", openapi, re.MULTILINE))
        self.assertGreater(len(operations), 50)
        for scheme in ("light", "dark"):
            for size, (width, height) in SIZES.items():
                context = self.browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height})
                self.addCleanup(context.close)
                page, asked, said = context.new_page(), [], []
                page.on("request", lambda request: asked.append(request.url))
                page.on("pageerror", lambda error: said.append(str(error)))
                page.on("console", lambda line: said.append(line.text))
                with self.subTest(scheme=scheme, size=size):
                    page.goto(f"{self.server.url}/docs", wait_until="networkidle")
                    self.assertIn(f"{self.server.url}/docs/style.css", asked)
                    elsewhere = [url for url in asked if not url.startswith(f"{self.server.url}/")]
                    self.assertEqual(elsewhere, [])
                    self.assertEqual(said, [])
                    described = page.locator("main section").evaluate_all("all => all.map(one => one.id)")
                    self.assertEqual(len(described), len(set(described)), "every place has a name of its own")
                    self.assertEqual((operations | schemas) - set(described), set())
                    requests = page.locator("main section > .request")
                    self.assertEqual(requests.count(), len(operations))
                    # Two places stand for all: a look at the whole page takes half a minute.
                    self.assertEqual(self.serious(page, [["nav"], ["#create_job"], ["#JobPost"]]), [])
                    # Where the contents are beside the page it has the least room just after they came there.
                    for across in (width, 1025) if size == "wide" else (width,):
                        page.set_viewport_size({"width": across, "height": height})
                        self.assertLessEqual(page.evaluate("document.documentElement.scrollWidth - innerWidth"), 0, across)

                    # From the contents to an operation, and from there to what it takes.
                    page.get_by_role("navigation").get_by_role("link", name="Post a job", exact=True).click()
                    posting = page.locator("section#create_job")
                    expect(posting).to_be_in_viewport()
                    expect(posting.locator(".request")).to_have_text("POST /jobs needs the scope write")
                    posting.get_by_role("link", name="JobPost", exact=True).first.click()
                    expect(page.locator("section#JobPost > h2")).to_be_in_viewport()
                    if PICTURES is not None:
                        page.screenshot(path=PICTURES / f"docs-{scheme}-{size}-schema.png")
                        page.goto(f"{self.server.url}/docs#create_job")
                        page.screenshot(path=PICTURES / f"docs-{scheme}-{size}.png")

    def test_every_view_is_reached_by_keyboard_and_open_to_all(self):
        one, other = self.post("one"), self.post("other")
        for job in (one, other):
            self.ended(job)
        best = self.server.ask(f"/jobs/{one}")["best"]["trial"]
        views = {
            "jobs": ("jobs", "Jobs"),
            "job": (f"jobs/{one}", "Result"),
            "trial": (f"jobs/{one}/trials/{best}", "Metrics"),
            "compare": (f"compare/{one},{other}", "Jobs side by side"),
            "new": ("new", "New job"),
            "datasets": ("datasets", "Datasets"),
            "endpoints": ("endpoints", "Endpoints"),
        }
        for scheme in ("light", "dark"):
            for size, (width, height) in SIZES.items():
                page = self.page(color_scheme=scheme, viewport={"width": width, "height": height})
                for name, (route, heading) in views.items():
                    with self.subTest(view=name, scheme=scheme, size=size):
                        page.evaluate("route => { location.hash = '#/' + route }", route)
                        expect(page.get_by_role("heading", name=heading).first).to_be_visible()
                        page.wait_for_load_state("networkidle") if name not in ("job",) else None
                        self.assertEqual(self.serious(page), [])
                        spilled = page.evaluate("document.documentElement.scrollWidth - innerWidth")
                        self.assertLessEqual(spilled, 0, "nothing is wider than the page")
                        if PICTURES is not None:
                            self.picture(page, name, scheme, size)

        page = self.page(f"jobs/{one}")
        page.get_by_role("link", name="The report to print or send").click()
        self.assertTrue(page.url.endswith(f"/jobs/{one}/report.html"))
        for scheme in ("light", "dark"):
            for size, (width, height) in SIZES.items():
                with self.subTest(view="report", scheme=scheme, size=size):
                    page.emulate_media(color_scheme=scheme)
                    page.set_viewport_size({"width": width, "height": height})
                    expect(page.get_by_role("heading", name="What to set")).to_be_visible()
                    # Its style is let through by its policy.
                    self.assertEqual(page.locator(".lead").evaluate("lead => getComputedStyle(lead).fontSize"), "20px")
                    self.assertEqual(self.serious(page), [])
                    self.assertLessEqual(page.evaluate("document.documentElement.scrollWidth - innerWidth"), 0)
                    if PICTURES is not None:
                        self.picture(page, "report", scheme, size)

        page = self.page("jobs")
        link = page.get_by_role("link", name="one", exact=True)
        expect(link).to_be_visible()
        for _ in range(30):
            page.keyboard.press("Tab")
            if link.evaluate("link => link === document.activeElement"):
                break
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Result")).to_be_visible()


if __name__ == "__main__":
    PROGRAM, CHROMIUM, *rest = sys.argv[1:]
    PICTURES = pathlib.Path(rest[0]) if rest else None
    if PICTURES is not None:
        PICTURES.mkdir(parents=True, exist_ok=True)
    unittest.main(argv=sys.argv[:1], verbosity=2)
