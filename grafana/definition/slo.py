"""SLO: burn rates, what is left of the budgets, and alerts."""

from . import promql as q
from .common import ANY, met, required, requirements
from .model import dashboard, lines, section, states, value

# What is recorded has no instance: it is summed over the generators that share a run, in the phases that are judged.
RECORDED = '{job=~"$job",profile=~"$profile"}'
# The part of requests that may fail: as the profile requires of errors, or by the variable where it requires nothing.
BUDGET = ("(min by (profile) (" + required(q.select("load_slo_objective", q.PROFILE, 'requirement=~"errors <=? .+"')) + " > 0) or "
          "max by (profile) (" + q.select("load_phase_judged", q.PROFILE) + ") * 0 + 1 - $objective / 100)")

LIMITED = 'requirement=~".+ <=? .+"'
# Each exporter's value by its own objective; the largest part is shown.
USED = (f"max by ({ANY}) ({required(q.select('load_slo_value', q.PHASE, LIMITED))} / "
        f"({q.select('load_slo_objective', q.PHASE)} > 0))")


def _errors(window):
    return f"max by (profile) (load:request_errors:ratio_rate{window}{RECORDED})"


def build():
    """The dashboard."""
    burn = [(f"{_errors(window)} / on (profile) {BUDGET}", f"{{{{profile}}}} {window}") for window in ("5m", "30m", "1h", "6h")]
    part, whole = (f"sum by (profile) (sum_over_time({name}{RECORDED}[$__range]))" for name in ("load:request_errors:rate5m", "load:requests:rate5m"))
    spent = f"1 - {q.ratio(part, whole)} / on (profile) {BUDGET}"
    return dashboard(
        "slo", "SLO", "Requirements of the profiles' SLOs, burn rates of the error budget, alerts that fire.",
        [
            requirements((24, 9)),
            section("Error budget"),
            lines("Burn rate", "How many times faster than allowed the error budget is spent in judged phases: 1 spends it just in time. What is allowed is what the "
                  "profile requires of errors (the strictest), or the objective above. 14.4 over an hour and five minutes, or 6 over six hours and "
                  "thirty minutes, is worth a page.", burn, "none",
                  thresholds=[(None, "transparent"), (1, "yellow"), (6, "light-red"), (14.4, "red")]),
            lines("Budget left", "Of the errors that may happen over the chosen time, as far as rules have recorded it.", [(spent, "{{profile}}")], "percentunit", low=None,
                  high=1, thresholds=[(None, "red"), (0, "transparent")]),
            lines("Errors against the objective", "The part of requests that failed, and the part that may.",
                  [(_errors("5m"), "{{profile}}"), (BUDGET, "{{profile}} may")], "percentunit"),
            lines("Used of what each requirement allows", "How much of its limit each `… < …` came to in the run of its phase: above 100 % it is missed. Of shares, "
                  "times and counts alike.", [(USED, "{{slo}} {{phase}} {{requirement}}")], "percentunit",
                  thresholds=[(None, "transparent"), (1, "red")]),
            section("Over time"),
            states("Requirements met", "Which requirement was met when, as of the phase that was judged last.",
                   met(), "{{slo}} {{phase}} {{requirement}}",
                   [value(1, "met", "green"), value(0, "missed", "red", 1)], (24, 8)),
            states("Alerts", "Alerts on load tests, by name; empty while none fires.",
                   'max by (alertname, profile) (ALERTS{alertstate="firing",alertname=~"Load.*"})', "{{alertname}} {{profile}}",
                   [value(1, "firing", "red")], (24, 6)),
        ],
        variables=[_objective()], span="now-6h", refresh="30s",
    )


def _objective():
    choices = ["99", "99.5", "99.9", "99.95", "99.99"]
    options = [{"selected": text == "99.9", "text": text, "value": text} for text in choices]
    return {"type": "custom", "name": "objective", "label": "Objective in %", "description": "The part of requests that has to succeed, for profiles that require nothing of errors.",
            "query": ",".join(choices), "options": options, "current": {"selected": True, "text": "99.9", "value": "99.9"}, "hide": 0,
            "skipUrlSync": False, "multi": False, "includeAll": False}
