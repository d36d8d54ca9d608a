"""Soak: hours and days; what drifts?"""

from . import promql as q
from .common import ANSWERED, EXACTLY, RESPONSE, met, state
from .model import VERDICT, dashboard, lines, section, states, table, value, variable


def build():
    """The dashboard."""
    p95 = q.quantile(0.95, RESPONSE, "protocol", extra=ANSWERED, window="15m")
    before = q.quantile(0.95, RESPONSE, "protocol", extra=ANSWERED, window="15m offset 1h")
    return dashboard(
        "soak", "Soak", "Hours and days of load: drift of latency, errors and memory, phases that failed.",
        [
            lines("Response time over 15 minutes", "Quantiles over the last quarter of an hour: what drifts shows, what jitters doesn't. The "
                  "axis is logarithmic." + EXACTLY,
                  [(q.quantile(p, RESPONSE, "protocol", extra=ANSWERED, window="15m"), f"{{{{protocol}}}} p{p * 100:g}") for p in (0.5, 0.95, 0.99)], "s",
                  log=True),
            lines("Drift of p95 against an hour ago", "By how much the 95th percentile is above that of an hour before; needs an hour of load.",
                  [(f"({p95}) / ({before}) - 1", "{{protocol}} p95")], "percentunit", low=None,
                  thresholds=[(None, "transparent"), (0.05, "yellow"), (0.2, "red")]),
            lines("Errors over 15 minutes", "Requests that did not end as expected, as a part of all.",
                  [(q.ratio(q.rate("load_request_errors_total", "scenario", window="15m"), q.rate("load_requests_total", "scenario", window="15m")),
                    "{{scenario}}")], "percentunit"),
            lines("Requests over 15 minutes", "A second.", [(q.rate("load_requests_total", "scenario", window="15m"), "{{scenario}}")], "reqps"),
            section("Verdicts"),
            states("Runs", "What the last run came to, over time.",
                   state(), "{{profile}}", VERDICT),
            states("Requirements", "Which requirement was met when, as of the phase that was judged last.",
                   met(), "{{slo}} {{phase}} {{requirement}}",
                   [value(1, "met", "green"), value(0, "missed", "red", 1)], (24, 8)),
            section("Memory"),
            lines("Generator", "Resident memory of load-exporter: flat.", [(q.own(q.select("process_resident_memory_bytes", q.PROCESS)), "{{instance}}")],
                  "bytes"),
            lines("Redis", "Memory that Redis uses; a leak of keys shows as a slope.",
                  [('sum by (instance) (redis_memory_used_bytes{instance=~"$redis"})', "{{instance}}")], "bytes"),
            lines("Open connections", "Connections that load-exporter holds open.",
                  [("sum by (protocol) (" + q.select("load_connections", q.SCENARIO) + ")", "{{protocol}}")], "short"),
            lines("PostgreSQL connections", "Backends, by database.",
                  [('sum by (datname) (pg_stat_database_numbackends{instance=~"$postgres"}) > 0', "{{datname}}")], "short"),
            section("Cost on the server"),
            table("Added by the last phases", "What each phase added to the target's own counters, and for each request of the phase; a row for each exporter.",
                  [(f"max without () ({q.select('load_target_delta', q.PHASE)})", "added"),
                   (f"max without () ({q.select('load_target_per_request', q.PHASE)})", "per request")],
                  "short", (24, 9), hide=(), sort="per request"),
        ],
        variables=servers(), span="now-12h", refresh="1m",
    )


def servers():
    """The choice of the target's exporters."""
    return [variable("redis", "Redis", "label_values(redis_up, instance)"), variable("postgres", "PostgreSQL", "label_values(pg_up, instance)")]
