"""Overview: is it good enough, how much load is there, and what do users see?"""

from . import promql as q
from .model import (MET, VERDICT, YES_IS_BAD, dashboard, heatmap, lines, section, stat, states, table, value)

ANSWERED = 'outcome!="error"'
RESPONSE = "load_response_duration_seconds"


def _verdict():
    one = "sum by (profile) (load_verdict{%s,verdict=\"%%s\"})" % q.PROFILE
    return f"{one % 'pass'} + 2 * {one % 'inconclusive'} + 3 * {one % 'fail'} + 4 * {one % 'none'}"


def build():
    """The dashboard."""
    errors = q.ratio(q.rate("load_request_errors_total"), q.rate("load_requests_total"))
    return dashboard(
        "overview", "Overview", "Verdict, load wanted and reached, latency, errors: one look at a load test.",
        [
            stat("Verdict", "What the last run of each profile came to; running while one is under way.", _verdict(), "none", (5, 4),
                 mappings=VERDICT, legend="{{profile}}"),
            stat("Phase", "The phase that is going on.", q.select("load_phase_active", q.PHASE) + " == 1", "none", (5, 4),
                 legend="{{phase}}", text="name"),
            stat("Requests", "Requests that ended, a second.", q.rate("load_requests_total"), "reqps", (3, 4), decimals=1),
            stat("Response p95", "95 % of answers came within this time, counted from when they were due.",
                 q.quantile(0.95, RESPONSE, extra=ANSWERED), "s", (4, 4)),
            stat("Errors", "Requests that did not end as expected.", errors + " or " + q.rate("load_requests_total") + " * 0", "percentunit",
                 (3, 4), thresholds=[(None, "green"), (0.001, "yellow"), (0.01, "red")]),
            stat("Generator saturated", "Whether the generator was its own bottleneck: its figures hold delays of its own then. Verdicts take them into account.",
                 "max by (profile) (" + q.select("load_generator_saturated", q.PROFILE) + ")", "none", (4, 4), mappings=YES_IS_BAD,
                 legend="{{profile}}"),
            section("Load"),
            lines("Arrivals", "Arrivals that the profile asks for, that became due, that started and that never did. Started below due is load "
                  "that the target never saw.",
                  [("sum(" + q.select("load_rate_wanted", q.SCENARIO) + ")", "wanted"), (q.rate("load_arrivals_started_total"), "started"),
                   (q.rate("load_arrivals_dropped_total"), "dropped"), (q.rate("load_arrivals_cancelled_total"), "cancelled")],
                  "reqps"),
            lines("Users", "Virtual users: wanted by the profile, and alive.",
                  [("sum(" + q.select("load_users_wanted", q.SCENARIO) + ")", "wanted"),
                   ("sum(" + q.select("load_users", q.SCENARIO) + ")", "alive")], "none"),
            lines("Requests by scenario", "Requests that ended, a second.", [(q.rate("load_requests_total", "scenario"), "{{scenario}}")],
                  "reqps"),
            states("Phases", "Which phase went on when.", q.select("load_phase_active", q.PHASE), "{{profile}} {{phase}}",
                   [value(1, "on", "blue"), value(0, "", "transparent", 1)], (12, 8)),
            section("What users see"),
            lines("Response time", "From when a request was due to its end; failed requests aside, timeouts included. The generator's waiting for "
                  "a slow target is in it.",
                  [(q.quantile(p, RESPONSE, extra=ANSWERED), f"p{p * 100:g}") for p in (0.5, 0.9, 0.95, 0.99)], "s"),
            heatmap("Distribution of response times", "Every request of the chosen scenarios and phases, by response time.",
                    q.heat(RESPONSE, extra=ANSWERED)),
            lines("Errors by reason", "Requests that did not end as expected, a second; empty while there are none.",
                  [(q.rate("load_request_errors_total", "reason") + " > 0", "{{reason}}")], "reqps", stack=True),
            lines("Requests by outcome", "How requests ended, a second.", [(q.count(RESPONSE, "outcome"), "{{outcome}}")], "reqps",
                  names=("ok", "error", "timeout", "interrupted")),
            section("SLOs of the present or last run"),
            table("Requirements", "What each requirement of each SLO asked for, and what was measured in the phase.",
                  [("max by (profile, slo, phase, requirement) (" + q.select("load_slo_value", q.PHASE) + ")", "measured"),
                   ("max by (profile, slo, phase, requirement) (" + q.select("load_slo_objective", q.PHASE) + ")", "objective"),
                   ("max by (profile, slo, phase, requirement) (" + q.select("load_slo_met", q.PHASE) + ")", "met")],
                  "none", (24, 9), mapped={"met": MET}),
        ],
    )

