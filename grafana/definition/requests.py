"""Requests: each step by itself, what it cost and how it failed."""

from . import promql as q
from .model import dashboard, exemplars, heatmap, lines, section, table

RESPONSE, SERVICE = "load_response_duration_seconds", "load_service_duration_seconds"
ANSWERED = 'outcome!="error"'


def build():
    """The dashboard."""
    step = "scenario, step"
    return dashboard(
        "requests", "Requests", "Every step: rate, response and service time, status codes, checks, errors, bytes.",
        [
            table("Steps", "Each step over the chosen time: requests, failures, quantiles of its response time and the 95th percentile of its "
                  "service time.",
                  [(f"sum by ({step}) (increase({q.select('load_requests_total')}[$__range]))", "requests"),
                   (q.ratio(f"sum by ({step}) (increase({q.select('load_request_errors_total')}[$__range]))",
                            f"sum by ({step}) (increase({q.select('load_requests_total')}[$__range]))"), "errors"),
                   (q.quantile(0.5, RESPONSE, step, extra=ANSWERED, window="$__range"), "p50"),
                   (q.quantile(0.95, RESPONSE, step, extra=ANSWERED, window="$__range"), "p95"),
                   (q.quantile(0.99, RESPONSE, step, extra=ANSWERED, window="$__range"), "p99"),
                   (q.quantile(0.95, SERVICE, step, extra=ANSWERED, window="$__range"), "service p95")],
                  "none", (24, 9), sort="requests",
                  units={"requests": "short", "errors": "percentunit", "p50": "s", "p95": "s", "p99": "s", "service p95": "s"}),
            section("Time"),
            exemplars(lines("Response time p95 by step", "From when the request was due. With `trace: true` in the profile the points are "
                            "single requests with their trace.",
                            [(q.quantile(0.95, RESPONSE, step, extra=ANSWERED), "{{scenario}} {{step}}")], "s")),
            lines("Service time p95 by step", "From sending the request to its end: what the target took, waiting for a free user or "
                  "connection not included.", [(q.quantile(0.95, SERVICE, step, extra=ANSWERED), "{{scenario}} {{step}}")], "s"),
            lines("Response and service time", "Apart from each other where requests were due and could not be sent: a target that stalls "
                  "shows in the first, and hides in the second.",
                  [(q.quantile(0.95, RESPONSE, extra=ANSWERED), "response p95"), (q.quantile(0.95, SERVICE, extra=ANSWERED), "service p95")],
                  "s"),
            heatmap("Distribution of service times", "Every request of which something was sent.", q.heat(SERVICE)),
            section("Rate and outcome"),
            lines("Requests by step", "Requests that ended, a second.", [(q.rate("load_requests_total", step), "{{scenario}} {{step}}")],
                  "reqps"),
            lines("Status codes", "HTTP answers by status code, a second.", [(q.rate("load_http_responses_total", "code"), "{{code}}")],
                  "reqps", stack=True),
            lines("Errors by step and reason", "Requests that did not end as expected, a second; empty while there are none.",
                  [(q.rate("load_request_errors_total", f"{step}, reason") + " > 0", "{{scenario}} {{step}} {{reason}}")], "reqps"),
            lines("Failed checks", "Checks that did not hold, as a part of those that were evaluated.",
                  [(q.ratio(q.rate("load_check_failures_total", "scenario, check"), q.rate("load_checks_total", "scenario, check")),
                    "{{scenario}} {{check}}")], "percentunit", high=1),
            section("Flow and bytes"),
            lines("Iterations", "Iterations of the scenarios' flows that ended, failed and were cut off, a second.",
                  [(q.rate("load_iterations_total"), "ok"), (q.rate("load_iterations_failed_total"), "failed"),
                   (q.rate("load_iterations_interrupted_total"), "interrupted")], "ops"),
            lines("Duration of iterations", "Think times included.",
                  [(q.quantile(0.95, "load_iteration_duration_seconds", "scenario"), "{{scenario}}")], "s"),
            lines("Groups p95", "Time that groups of steps took as a whole; empty where the profile has none.",
                  [(q.quantile(0.95, "load_group_duration_seconds", "scenario, group"), "{{scenario}} {{group}}")], "s"),
            lines("Bytes", "On the wire below TLS, a second.", [(q.rate("load_sent_bytes_total"), "sent"),
                                                                (q.rate("load_received_bytes_total"), "received")], "Bps"),
        ],
    )
