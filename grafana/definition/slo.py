"""SLO: burn rates, what is left of the budgets, and alerts."""

from . import promql as q
from .model import MET, dashboard, lines, section, states, table, value

# Of https://sre.google/workbook/alerting-on-slos/: long window, short window, factor.
BURNS = (("1h", "5m", 14.4), ("6h", "30m", 6), ("1d", "2h", 3), ("3d", "6h", 1))


def _errors(window):
    return q.ratio(q.rate("load_request_errors_total", "profile", window=window), q.rate("load_requests_total", "profile", window=window))


def build():
    """The dashboard."""
    budget = "(1 - $objective / 100)"
    burn = [(f"({_errors(window)}) / {budget}", f"{{{{profile}}}} {window}") for window in ("5m", "30m", "1h", "6h")]
    spent = f"1 - ({_errors('$__range')}) / {budget}"
    return dashboard(
        "slo", "SLO", "Requirements of the profiles' SLOs, burn rates of the error budget, alerts that fire.",
        [
            table("Requirements", "Every requirement, as judged for the last run of its phase.",
                  [("max by (profile, slo, phase, requirement) (" + q.select("load_slo_value", q.PHASE) + ")", "measured"),
                   ("max by (profile, slo, phase, requirement) (" + q.select("load_slo_objective", q.PHASE) + ")", "objective"),
                   ("max by (profile, slo, phase, requirement) (" + q.select("load_slo_met", q.PHASE) + ")", "met")],
                  "none", (24, 9), mapped={"met": MET}),
            section("Error budget"),
            lines("Burn rate", "How many times faster than allowed the error budget is spent: 1 spends it just in time. 14.4 over an hour and five "
                  "minutes, or 6 over six hours and thirty minutes, is worth a page.", burn, "none",
                  thresholds=[(None, "transparent"), (1, "yellow"), (6, "orange"), (14.4, "red")]),
            lines("Budget left", "Of the errors that the objective allows over the chosen time.", [(spent, "{{profile}}")], "percentunit", low=None,
                  high=1, thresholds=[(None, "red"), (0, "transparent")]),
            lines("Errors against the objective", "The part of requests that failed, and the part that may.",
                  [(_errors("5m"), "{{profile}}"), (f"vector{budget}", "objective")], "percentunit"),
            lines("Latency against a second", "The part of answers that took longer than a second: what a latency objective counts.",
                  [(_slow("5m"), "{{profile}}")], "percentunit"),
            section("Over time"),
            states("Requirements met", "Which requirement was met when, as of the phase that was judged last.",
                   "min by (profile, slo, phase, requirement) (" + q.select("load_slo_met", q.PHASE) + ")", "{{slo}} {{phase}} {{requirement}}",
                   [value(1, "met", "green"), value(0, "missed", "red", 1)], (24, 8)),
            states("Alerts", "Alerts on load tests, by name; empty while none fires.",
                   'max by (alertname, profile) (ALERTS{alertstate="firing",alertname=~"Load.*"})', "{{alertname}} {{profile}}",
                   [value(1, "firing", "red")], (24, 6)),
        ],
        variables=[_objective()], span="now-6h", refresh="30s",
    )


def _slow(window):
    answered = 'outcome!="error"'
    native = (f"1 - histogram_fraction(0, 1, sum by (profile) (rate({q.select('load_response_duration_seconds', extra=answered)}[{window}])))")
    below = q.rate("load_response_duration_seconds_bucket", "profile", extra=answered + ',le=~"1|1[.]0"', window=window)
    whole = q.rate("load_response_duration_seconds_count", "profile", extra=answered, window=window)
    return f"{native} or 1 - {q.ratio(below, whole)}"


def _objective():
    choices = ["99", "99.5", "99.9", "99.95", "99.99"]
    options = [{"selected": text == "99.9", "text": text, "value": text} for text in choices]
    return {"type": "custom", "name": "objective", "label": "Objective in %", "description": "The part of requests that has to succeed.",
            "query": ",".join(choices), "options": options, "current": {"selected": True, "text": "99.9", "value": "99.9"}, "hide": 0,
            "skipUrlSync": False, "multi": False, "includeAll": False}
