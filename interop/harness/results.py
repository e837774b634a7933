# SPDX-License-Identifier: MIT
"""The results of the interop tests: one line for each when it is known, and the matrix at the end.
"""

FEATURES = ["text", "binary", "sizes", "16MiB", "frag-sent", "frag-rcvd", "ping-sent", "ping-rcvd",
            "close-sent", "close-rcvd", "codes-sent", "codes-rcvd", "subproto", "headers",
            "refused", "origin", "limit", "push", "news", "many", "ipv6", "tls-bad", "cli-cert",
            "exit"]
SHORT = {"frag-sent": "frag\nsent", "frag-rcvd": "frag\nrcvd", "ping-sent": "ping\nsent",
         "ping-rcvd": "ping\nrcvd", "close-sent": "close\nsent", "close-rcvd": "close\nrcvd",
         "codes-sent": "codes\nsent", "codes-rcvd": "codes\nrcvd",
         "subproto": "sub-\nproto", "headers": "head-\ners", "refused": "re-\nfused",
         "tls-bad": "tls\nbad", "cli-cert": "cli-\ncert", "binary": "bin-\nary",
         "origin": "ori-\ngin"}


class Results:
    """what is known so far, by row; a row is (peer, role of noPoll, transport)"""

    def __init__(self, log):
        self.rows = {}
        self.skipped = []
        self.log = log

    def add(self, row, feature, fault=None):
        """fault: None when it went well, else what did not"""
        self.rows.setdefault(row, {})[feature] = fault
        name = " ".join((*row, feature))
        line = "OK   %s" % name if fault is None else "FAIL %s: %s" % (name, fault)
        print(line, flush=True)
        self.log(line)

    def skip(self, name, reason):
        line = "SKIP %s: %s" % (name, reason)
        self.skipped.append((name, reason))
        print(line, flush=True)
        self.log(line)

    def _cell(self, row, feature):
        if feature not in self.rows[row]:
            return "-"
        return "ok" if self.rows[row][feature] is None else "FAIL"

    def _feature_matrix(self):
        seen = [feature for feature in FEATURES
                if any(feature in cells for cells in self.rows.values())]
        heads = [SHORT.get(feature, "\n" + feature).split("\n") for feature in seen]
        yield "%-19s %-7s %-4s %s" % ("", "noPoll", "", " ".join("%-5s" % a for a, _ in heads))
        yield "%-19s %-7s %-4s %s" % ("peer", "is", "over",
                                      " ".join("%-5s" % b for _, b in heads))
        for row in self.rows:
            yield "%-19s %-7s %-4s %s" % (
                *row, " ".join("%-5s" % self._cell(row, feature) for feature in seen))

    def _row_results(self):
        for row, cells in self.rows.items():
            bad = [feature for feature, fault in cells.items() if fault is not None]
            others = [feature for feature in cells if feature not in FEATURES]
            yield "%-19s %-7s %-4s %-7s %d of %d%s%s" % (
                *row, "FAILED" if bad else "passed", len(cells) - len(bad), len(cells),
                ", failed: " + ", ".join(bad) if bad else "",
                ", among them " + ", ".join(others) if others else "")

    def matrix(self):
        """the lines of both tables"""
        yield "Matrix of features. 'sent' and 'rcvd' are meant from noPoll's side; '-' is what the"
        yield "peer does not offer, or what does not make sense there."
        yield ""
        yield from self._feature_matrix()
        yield ""
        yield "Matrix of results"
        yield ""
        yield "%-19s %-7s %-4s %s" % ("peer", "noPoll", "over", "result")
        yield from self._row_results()
        for name, reason in self.skipped:
            yield "%-19s %-7s %-4s %-7s %s" % (name, "", "", "SKIPPED", reason)

    def counts(self):
        faults = [fault for cells in self.rows.values() for fault in cells.values()]
        failed = sum(fault is not None for fault in faults)
        return len(faults) - failed, failed
