"""Overview: is it good enough, how much load is there, and what do users see?"""

from . import promql as q
from .common import ANSWERED, EXACTLY, RESPONSE, requirements, response, state
from .model import VERDICT, YES_IS_BAD, dashboard, heatmap, lines, linked, section, stat, states, table, value


def build():
    """The dashboard."""
    requests, failed = q.total("load_requests_total"), q.total("load_request_errors_total")
    saturated = q.select("load_generator_saturated", q.PROFILE)
    phase = "profile, phase"
    return dashboard(
        "overview", "Overview", "Verdict, latency, errors, load wanted and reached: one look at a load test.",
        [
            linked(stat("State", "What the last run of each profile came to; running while one is under way, waiting where none has begun yet.",
                        state(), "none", mappings=VERDICT, legend="{{profile}}"), "slo"),
            stat("Phase", "The phase that goes on just now.",
                 f"max by (profile, phase) ({q.select('load_phase_active', q.PHASE)} == 1) or on () label_replace(vector(0), \"phase\", \"none\", \"\", \"\")",
                 "none", legend="{{phase}}", text="name"),
            linked(stat("Requests", "Requests that ended in the time shown.", requests, "short"), "requests"),
            stat("Peak", "The most requests a second in the time shown.", q.peak(q.rate("load_requests_total")), "reqps", (3, 4), decimals=1),
            linked(stat("Errors", "Requests that did not end as expected, of all in the time shown.", f"{q.ratio(failed, requests)} or {requests} * 0",
                        "percentunit", (3, 4), thresholds=[(None, "green"), (0.001, "yellow"), (0.01, "red")]), "requests"),
            stat("Response p95", "95 % of answers in the time shown came within this time, counted from when they were due." + EXACTLY,
                 q.quantile(0.95, RESPONSE, "protocol", extra=ANSWERED, window=q.SHOWN), "s", (3, 4), legend="{{protocol}}"),
            linked(stat("Saturated", "Whether the generator was its own bottleneck at any time shown: its figures hold delays of its own then. Verdicts "
                        "take them into account.",
                        f"max by (profile) (max_over_time({saturated}[{q.SHOWN}]))", "none", (3, 4), mappings=YES_IS_BAD, legend="{{profile}}"),
                   "generator"),
            linked(requirements((12, 9)), "slo"),
            linked(response("Response time", size=(12, 9)), "requests"),
            section("Phases"),
            table("Figures of each phase", "Over the time shown, each phase by itself. The times are response times of HTTP and the latency of messages." + EXACTLY,
                  [(q.total("load_requests_total", phase), "requests"),
                   (q.ratio(q.total("load_request_errors_total", phase), q.total("load_requests_total", phase)), "errors"),
                   *((q.quantile(p, RESPONSE, phase, extra=ANSWERED + ',protocol="http"', window=q.SHOWN), f"p{p * 100:g}") for p in (0.5, 0.95, 0.99)),
                   (q.quantile(0.95, "load_message_latency_seconds", phase, window=q.SHOWN), "message p95"),
                   (q.total("load_arrivals_due_total", phase), "arrivals"),
                   (q.total("load_arrivals_dropped_total", phase), "dropped"),
                   (q.total("load_messages_missed_total", phase), "messages missed"),
                   (f"max by ({phase}) ({q.select('load_phase_judged', q.PHASE)})", "judged"),
                   (f"max by ({phase}) ({q.select('load_phase_start_timestamp_seconds', q.PHASE)}) * 1000", "began")],
                  "short", (24, 7), sort="began",
                  units={"errors": "percentunit", "p50": "s", "p95": "s", "p99": "s", "message p95": "s", "began": "dateTimeAsIso"},
                  mapped={"judged": [value(1, "yes", "transparent"), value(0, "no", "text", 1)]}),
            section("Load"),
            linked(lines("Arrivals", "Arrivals that the profile asks for, that started and that never did. Started below wanted is load that the target "
                         "never saw.",
                         [("sum(" + q.select("load_rate_wanted", q.SCENARIO) + ")", "wanted"), (q.rate("load_arrivals_started_total"), "started"),
                          (q.rate("load_arrivals_dropped_total"), "dropped"), (q.rate("load_arrivals_cancelled_total"), "cancelled")],
                         "ops"), "generator"),
            lines("Users", "Virtual users: wanted by the profile, and alive.",
                  [("sum(" + q.select("load_users_wanted", q.SCENARIO) + ")", "wanted"),
                   ("sum(" + q.select("load_users", q.SCENARIO) + ")", "alive")], "short"),
            lines("Requests by scenario", "Requests that ended, a second.", [(q.rate("load_requests_total", "scenario"), "{{scenario}}")],
                  "reqps"),
            states("Phases", "Which phase went on when, on any exporter.", f"max by (profile, phase) ({q.select('load_phase_active', q.PHASE)})",
                   "{{profile}} {{phase}}",
                   [value(1, "on", "blue"), value(0, "", "transparent", 1)], (12, 8)),
            section("What users see"),
            heatmap("Distribution of response times", "Every request of the chosen scenarios and phases, by response time.",
                    q.heat(RESPONSE, extra=ANSWERED)),
            linked(lines("Errors by reason", "Requests that did not end as expected, a second; empty while there are none.",
                         [(q.rate("load_request_errors_total", "reason") + " > 0", "{{reason}}")], "reqps", stack=True), "requests"),
            lines("Requests by outcome", "How requests ended, a second.", [(q.count(RESPONSE, "outcome"), "{{outcome}}")], "reqps"),
            linked(lines("Messages", "Within sessions, a second.",
                         [(q.rate("load_messages_total", 'direction'), "{{direction}}")], "ops"), "connections"),
        ],
    )
