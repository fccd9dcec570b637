"""Serves SmolLM2-135M-Instruct on the loopback address by llama.cpp's server: server.py PORT SLOTS.

Runs until it is ended, or its standard input closes.
"""

import pathlib
import sys
import sysconfig

import xllamacpp


def model() -> pathlib.Path:
    """The model's file, wherever its package has put it."""
    packages = pathlib.Path(sysconfig.get_paths()["purelib"])
    return next(packages.rglob("SmolLM2*.gguf"))


def main() -> None:
    port, slots = int(sys.argv[1]), int(sys.argv[2])
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model())
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.n_parallel = slots
    parameters.n_ctx = 512 * slots
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
