"""The example clients, each through a cut of its connection, and clients generated from openapi.yaml.

Takes the path of the `frugal` program and a folder with the node packages of package.json; `.ci/clients` runs it.
"""

import io
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import house
from ruamel.yaml import YAML

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "clients"
HERE = pathlib.Path(__file__).resolve().parent
ENDS = ("job.succeeded", "job.failed", "job.cancelled")


class Clients(unittest.TestCase):
    """One server for all tests."""

    @classmethod
    def setUpClass(cls):
        cls.folder = cls.enterClassContext(house.folder("clients"))
        cls.server = cls.enterClassContext(house.server(PROGRAM, cls.folder))

    def run_through_a_cut(self, *command):
        """Runs a client that submits and follows a job, and cuts its connection once it has told some events."""
        wire = house.Wire(self.server.port)
        job = self.folder / "job.json"
        job.write_text(json.dumps(house.job("by a client", 0.01)))
        environment = {**house.environment(), "FRUGAL_URL": f"http://127.0.0.1:{wire.port}"}
        # A file, since a report may be longer than a pipe holds, and nobody reads it before the events have ended.
        with tempfile.TemporaryFile("w+") as written:
            client = subprocess.Popen([*command, job], env=environment, text=True, stdout=written, stderr=subprocess.PIPE)
            with client:
                told = []
                for line in client.stderr:
                    told.append(line.split())
                    if len(told) == 5:
                        wire.cut()
                        wire.mend()
            written.seek(0)
            report = json.load(written)
        self.assertEqual(client.returncode, 0)
        events = told[1:]
        # Nothing is missed and nothing is told twice.
        self.assertEqual([int(event[0]) for event in events], list(range(1, len(events) + 1)))
        self.assertIn(events[-1][1], ENDS)
        path = told[0][0].rsplit("/jobs/", 1)[1]
        self.assertEqual(report, self.server.ask(f"/jobs/{path}/report"))

    def test_curl(self):
        self.run_through_a_cut("sh", EXAMPLES / "curl.sh")

    def test_the_standard_library(self):
        self.run_through_a_cut(sys.executable, EXAMPLES / "stdlib.py")

    def test_httpx(self):
        self.run_through_a_cut(sys.executable, EXAMPLES / "with_httpx.py")

    def test_node(self):
        self.run_through_a_cut("node", EXAMPLES / "node.mjs")

    def generated(self, command, **options):
        """Runs a step of a generated client."""
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=house.environment(), **options)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_typescript(self):
        folder = self.folder / "typescript"
        folder.mkdir()
        for file in ("generated.ts", "tsconfig.json"):
            shutil.copy(HERE / file, folder)
        (folder / "node_modules").symlink_to(NODE / "node_modules")
        (folder / "package.json").write_text('{"type": "module"}')
        programs = folder / "node_modules" / ".bin"
        self.generated([programs / "openapi-typescript", ROOT / "openapi.yaml", "--output", folder / "schema.ts"])
        self.generated([programs / "tsc", "--project", folder / "tsconfig.json"])
        job = json.dumps(house.job("by TypeScript", 0.005))
        told = self.generated(["node", folder / "generated.js", self.server.url], input=job)
        self.assert_told(told)

    @staticmethod
    def without_circles():
        """The description for a generator that cannot name what is within itself: it is given any value there."""
        yaml = YAML()
        document = yaml.load(ROOT / "openapi.yaml")
        schemas = document["components"]["schemas"]
        for name in ("DimensionPost", "ScorerPost"):
            schemas[name] = {"description": schemas[name]["description"]}
        written = io.StringIO()
        yaml.dump(document, written)
        return written.getvalue()

    def test_python(self):
        folder = self.folder / "python"
        generator = pathlib.Path(sys.executable).with_name("openapi-python-client")
        folder.mkdir()
        (folder / "openapi.yaml").write_text(self.without_circles())
        command = [generator, "generate", "--path", folder / "openapi.yaml", "--meta", "none", "--output-path", folder / "frugal_client"]
        # It passes by media types that are no JSON, and by the bodies of events, which are read as they come.
        self.generated(command)
        shutil.copy(HERE / "generated.py", folder)
        job = json.dumps(house.job("by Python", 0.005))
        told = self.generated([sys.executable, folder / "generated.py", self.server.url], input=job)
        self.assert_told(told)

    def assert_told(self, told):
        """A generated client has told of a job that it followed to its end: its id, its state, its winner."""
        told = json.loads(told)
        job = self.server.ask(f"/jobs/{told['id']}")
        self.assertEqual((told["state"], told["trial"]), (job["state"], job["best"]["trial"]))


if __name__ == "__main__":
    PROGRAM, NODE = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
