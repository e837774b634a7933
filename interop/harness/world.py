# SPDX-License-Identifier: MIT
"""What all interop tests share: where things are, certificates, results, our own programs."""
import importlib.util
import os
import sys
import time

from .peer import Peer, Skip
from .process import Process, has_ipv6
from .results import Results

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.append(os.path.join(HERE, "demo"))

import certificates  # noqa: E402  pylint: disable=wrong-import-position,import-error


class World:
    def __init__(self, arguments):
        self.short = arguments.short
        self.programs = os.path.abspath(arguments.programs)
        self.libraries = os.path.abspath(arguments.libraries)
        self.artefacts = os.path.abspath(arguments.artefacts)
        self.peers = os.path.join(HERE, "peers")
        self.transcript = open(os.path.join(self.artefacts, "transcript.txt"), "w",
                               encoding="utf-8")
        self.started = time.monotonic()
        self.results = Results(self.log)
        if not has_ipv6():
            self.results.skip("IPv6", "this machine has no address ::1")
        self.folder = self.authority = self.stranger = self.certificate = None
        self.strangers_certificate = None

    def log(self, text):
        passed = time.monotonic() - self.started
        print("%7.2f %s" % (passed, text), file=self.transcript, flush=True)

    def make_certificates(self, folder):
        self.folder = folder
        self.authority = certificates.authority(folder, "authority")
        self.stranger = certificates.authority(folder, "stranger")
        self.certificate = certificates.server(folder, "server", "authority",
                                               "DNS:localhost,IP:127.0.0.1,IP:::1")

        self.strangers_certificate = certificates.server(folder, "other", "stranger",
                                                         "DNS:localhost,IP:127.0.0.1")

    def python_peer(self, name, file, **more):
        """a peer in Python; FILE begins with the name of its package"""
        package = file.removesuffix("_peer.py")
        if importlib.util.find_spec(package) is None:
            raise Skip("the Python package %s is not installed" % package)
        command = [sys.executable, os.path.join(self.peers, file)]
        return Peer(name, [*command, "client"], [*command, "server"], **more)

    def why_not(self, program):
        """the reason that was noted when a program could not be had"""
        try:
            with open(os.path.join(self.programs, program + ".skipped"), encoding="utf-8") as note:
                return note.read().strip()
        except FileNotFoundError:
            return "it was not compiled"

    def own_program(self, name, *arguments):
        return Process([os.path.join(self.programs, name), *arguments], self.log,
                       {"LD_LIBRARY_PATH": self.libraries, "LC_ALL": "C.UTF-8"})

    def nopoll_server(self, transport, *arguments):
        tls = ["--tls", *self.certificate] if transport == "wss" else []
        return self.own_program("server", *tls, *arguments)

    def nopoll_client(self, host, port, transport, *arguments):
        tls = ["--ca", self.authority, "--stranger", self.stranger] if transport == "wss" else []
        return self.own_program("client", host, port, *tls, "--connections",
                                50 if self.short else 200, *arguments)
