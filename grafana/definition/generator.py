"""Generator: can it be trusted?"""

from . import promql as q
from .model import YES_IS_BAD, YES_IS_GOOD, dashboard, lines, section, stat

LAG = "load_start_lag_seconds"


def build():
    """The dashboard."""
    process = q.PROCESS
    return dashboard(
        "generator", "Generator", "Whether the generator kept up: start lag, dropped arrivals, CPU, memory, cost of scrapes.",
        [
            stat("Saturated", "Whether the generator was its own bottleneck. A closed load is slower then than it could be.",
                 "max(" + q.select("load_generator_saturated", q.PROFILE) + ")", "none", mappings=YES_IS_BAD),
            stat("Start lag p99", "How late arrivals started: the generator's own doing.", q.quantile(0.99, LAG), "s",
                 thresholds=[(None, "green"), (0.005, "yellow"), (0.01, "red")]),
            stat("Dropped arrivals", "Arrivals that were due and never started.",
                 q.ratio(q.rate("load_arrivals_dropped_total"), q.rate("load_arrivals_due_total")) + " or vector(0)", "percentunit",
                 thresholds=[(None, "green"), (0.0001, "yellow"), (0.01, "red")]),
            stat("CPU now", "Processor time, in cores.", f"sum(rate({q.select('process_cpu_seconds_total', process)}[{q.RATE}]))", "short",
                 decimals=2),
            stat("Memory", "Resident memory.", "sum(" + q.select("process_resident_memory_bytes", process) + ")", "bytes"),
            stat("Profile loaded", "Whether the profile could be loaded last time; an old one stays in force where it could not.",
                 "min(" + q.select("load_exporter_profile_last_reload_successful", process) + ")", "none", mappings=YES_IS_GOOD),
            section("Keeping up"),
            lines("Start lag", "How late arrivals and users started. Above 10 ms for 1 in 20 the generator is late rather than the target slow.",
                  [(q.quantile(p, LAG), f"p{p * 100:g}") for p in (0.5, 0.95, 0.99)], "s", thresholds=[(None, "transparent"), (0.01, "red")]),
            lines("Arrivals that never started", "By reason: no free user (busy), no data left (data), a target that was never reached "
                  "(dead_target). Empty while there are none.",
                  [(q.rate("load_arrivals_dropped_total", "scenario, reason") + " > 0", "{{scenario}} {{reason}}")], "reqps", stack=True),
            lines("Arrivals waiting", "Arrivals that are due and wait for a free user.",
                  [("sum by (scenario) (" + q.select("load_arrivals_waiting") + ")", "{{scenario}}")], "none"),
            lines("Users", "Virtual users: wanted, and alive.",
                  [("sum(" + q.select("load_users_wanted", q.SCENARIO) + ")", "wanted"), ("sum(" + q.select("load_users", q.SCENARIO) + ")", "alive")],
                  "none"),
            section("Process"),
            lines("CPU", "Processor time, in cores.", [(f"rate({q.select('process_cpu_seconds_total', process)}[{q.RATE}])", "{{instance}}")],
                  "short"),
            lines("CPU per request", "Processor time for each request: falls as load rises, and stays.",
                  [(f"sum(rate({q.select('process_cpu_seconds_total', process)}[{q.RATE}])) / ({q.rate('load_requests_total', matchers=q.PROCESS)} > 0)",
                    "mean")], "s"),
            lines("Resident memory", "Stays as it is for days; grows with users and open connections only.",
                  [(q.select("process_resident_memory_bytes", process), "{{instance}}")], "bytes"),
            lines("File descriptors", "Open, and the most that may be.",
                  [("sum(" + q.select("process_open_fds", process) + ")", "open"), ("sum(" + q.select("process_max_fds", process) + ")", "limit")],
                  "short"),
            section("Being scraped"),
            lines("Scrape duration", "What it takes Prometheus to read /metrics.", [(q.select("scrape_duration_seconds", process), "{{instance}}")],
                  "s"),
            lines("Samples of a scrape", "Series on /metrics, as Prometheus counts them.",
                  [(q.select("scrape_samples_scraped", process), "{{instance}}")], "short"),
            lines("Reads of the target's counters", "Whether each source of the target's series could be read last time.",
                  [(q.select("load_target_scrape_success", q.PROFILE), "{{source}}")], "none", (24, 6), high=1),
        ],
    )
