"""Requests: each step by itself, what it cost and how it failed."""

from . import promql as q
from .common import ANSWERED, EXACTLY, RESPONSE, SERVICE
from .model import dashboard, exemplars, heatmap, lines, linked, section, table

TRACES = " With `trace: true` in the profile the points are single requests, and lead to their trace."


def build():
    """The dashboard."""
    step = "scenario, step"
    # Two profiles may have a step of one name.
    row = "profile, " + step
    requests = q.total("load_requests_total", row)
    return dashboard(
        "requests", "Requests", "Every step: rate, response and service time, status codes, checks, errors, bytes.",
        [
            table("Steps", "Each step over the time shown: requests, failures, quantiles of its response time and the 95th percentile of its "
                  "service time." + EXACTLY,
                  [(requests, "requests"),
                   (q.ratio(q.total("load_request_errors_total", row), requests), "errors"),
                   *((q.quantile(p, RESPONSE, row, extra=ANSWERED, window=q.SHOWN), f"p{p * 100:g}") for p in (0.5, 0.95, 0.99)),
                   (q.quantile(0.95, SERVICE, row, extra=ANSWERED, window=q.SHOWN), "service p95")],
                  "short", (24, 9), sort="errors",
                  units={"errors": "percentunit", "p50": "s", "p95": "s", "p99": "s", "service p95": "s"}),
            section("Time"),
            exemplars(lines("Response time p95 by step", "From when the request was due; the axis is logarithmic." + TRACES + EXACTLY,
                            [(q.quantile(0.95, RESPONSE, step, extra=ANSWERED), "{{scenario}} {{step}}")], "s", log=True)),
            lines("Service time p95 by step", "From sending the request to its end: what the target took, waiting for a free user or "
                  "connection not included. The axis is logarithmic." + EXACTLY,
                  [(q.quantile(0.95, SERVICE, step, extra=ANSWERED), "{{scenario}} {{step}}")], "s", log=True),
            lines("Response and service time", "Of HTTP. Apart from each other where requests were due and could not be sent: a target that stalls "
                  "shows in the first, and hides in the second." + EXACTLY,
                  [(q.quantile(0.95, metric, extra=ANSWERED + ',protocol="http"'), f"{name} p95")
                   for metric, name in ((RESPONSE, "response"), (SERVICE, "service"))], "s", log=True),
            heatmap("Distribution of service times", "Every request of which something was sent." + TRACES, q.heat(SERVICE)),
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
            section("Flow"),
            lines("Iterations", "Iterations of the scenarios' flows that ended, and those of them that failed or were cut off, a second.",
                  [(q.rate("load_iterations_total"), "ended"), (q.rate("load_iterations_failed_total"), "failed"),
                   (q.rate("load_iterations_interrupted_total"), "interrupted")], "ops"),
            lines("Duration of iterations p95", "Think times included. The axis is logarithmic." + EXACTLY,
                  [(q.quantile(0.95, "load_iteration_duration_seconds", "scenario"), "{{scenario}}")], "s", log=True),
            lines("Groups p95", "Time that groups of steps took as a whole; empty where the profile has none." + EXACTLY,
                  [(q.quantile(0.95, "load_group_duration_seconds", "scenario, group"), "{{scenario}} {{group}}")], "s", log=True),
            lines("Errors of steps without a request", "A `set`, `count`, `record`, `for_each` or `eventually` that could not be done, a second; empty "
                  "while there are none.",
                  [(q.rate("load_step_errors_total", "scenario, reason") + " > 0", "{{scenario}} {{reason}}")], "ops"),
            section("Bytes"),
            linked(lines("Bytes", "On the wire below TLS, a second.", [(q.rate("load_sent_bytes_total"), "sent"),
                                                                       (q.rate("load_received_bytes_total"), "received")], "Bps"), "connections"),
            lines("Upload speed", "Bytes a second of bodies of 64 KiB and more, by service time; empty where the profile uploads nothing.",
                  [(q.quantile(p, "load_upload_bytes_per_second", step), f"{{{{scenario}}}} {{{{step}}}} p{p * 100:g}") for p in (0.5, 0.05)], "Bps"),
            lines("Download speed", "Bytes a second of answers of 64 KiB and more with `discard_body`; empty where there are none.",
                  [(q.quantile(p, "load_download_bytes_per_second", step), f"{{{{scenario}}}} {{{{step}}}} p{p * 100:g}") for p in (0.5, 0.05)], "Bps"),
            lines("Processing of uploads p95", "From the last byte of an upload to the first one of its answer; empty where the profile uploads nothing." + EXACTLY,
                  [(q.quantile(0.95, "load_processing_duration_seconds", step), "{{scenario}} {{step}}")], "s", log=True),
        ],
    )
