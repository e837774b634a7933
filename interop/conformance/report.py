# SPDX-License-Identifier: MIT
"""The results of a conformance run: JSON, the table of all cases, and sums by group."""
import json

from case import FAILED, INFO, LAX, OK, UNCLEAN, WRONG_CODE

# Of the published list; without --only a run has exactly so many.
COUNTS = {"1": 16, "2": 11, "3": 7, "4": 10, "5": 20, "6": 145, "7": 37, "9": 54, "10": 1}
GROUPS = {"1": "framing", "2": "pings and pongs", "3": "reserved bits", "4": "opcodes",
          "5": "fragmentation", "6": "UTF-8", "7": "closing", "9": "limits and speed",
          "10": "automatic fragments"}


class Report:
    def __init__(self, cases):
        self.cases = cases
        self.subjects = {}  # name: {id: Verdict}

    def add(self, subject, verdicts):
        self.subjects[subject] = verdicts

    def lacking(self):
        """groups that are not complete"""
        return [group for group, count in COUNTS.items() if count != len(
            {case.id for case in self.cases if case.id.split(".")[0] == group})]

    def as_json(self):
        return json.dumps({
            "cases": {case.id: case.what for case in self.cases},
            "subjects": {name: {number: dict(vars(verdict)) for number, verdict in found.items()}
                         for name, found in self.subjects.items()}}, indent=1) + "\n"

    def _count(self, subject, test, group=None):
        return sum(test(verdict) for number, verdict in self.subjects[subject].items()
                   if group is None or number.split(".")[0] == group)

    def table(self):
        """every case; a cell is the behaviour, then the way the connection was closed"""
        yield "%-9s" % "case" + "".join("%-28s" % name for name in self.subjects) + "what is sent"
        for case in self.cases:
            cells = [self.subjects[name][case.id] for name in self.subjects]
            yield ("%-9s" % case.id + "".join("%-28s" % (
                "%s, close %s" % (cell.behaviour, cell.close)) for cell in cells) + case.what)
        yield ""
        for name, verdicts in self.subjects.items():
            for number, verdict in verdicts.items():
                if verdict.detail and (verdict.behaviour not in (OK, INFO)
                                       or verdict.close not in (OK, INFO)):
                    yield "%s %s: %s" % (name, number, verdict.detail)

    def summary(self):
        """how many cases of each group were all right, and the sums"""
        yield "Behaviour OK or INFORMATIONAL, and connection closed cleanly, of all cases:"
        yield ""
        yield "%-28s%6s" % ("group", "cases") + "".join("%20s" % name for name in self.subjects)
        for group, name in GROUPS.items():
            count = sum(case.id.split(".")[0] == group for case in self.cases)
            if not count:
                continue
            yield "%-28s%6d" % (group + ".* " + name, count) + "".join("%20d" % self._count(
                subject, lambda verdict: verdict.good, group) for subject in self.subjects)
        yield "%-28s%6d" % ("all", len(self.cases)) + "".join("%20d" % self._count(
            subject, lambda verdict: verdict.good) for subject in self.subjects)
        yield ""
        for what in (OK, LAX, INFO, FAILED):
            yield "%-34s" % ("behaviour " + what) + "".join("%20d" % self._count(
                subject, lambda verdict, what=what: verdict.behaviour == what)
                for subject in self.subjects)
        for what in (OK, INFO, WRONG_CODE, UNCLEAN, FAILED):
            yield "%-34s" % ("close " + what) + "".join("%20d" % self._count(
                subject, lambda verdict, what=what: verdict.close == what)
                for subject in self.subjects)

    def bad(self, subject):
        return [number for number, verdict in self.subjects[subject].items() if not verdict.good]
