"""Generator: can it be trusted?"""

from . import promql as q
from .common import EXACTLY
from .model import YES_IS_GOOD, dashboard, lines, section, stat, states, value, variable

LAG = "load_start_lag_seconds"
NODE = 'instance=~"$node"'


def build():
    """The dashboard."""
    cpu = q.own(f"rate({q.select('process_cpu_seconds_total', q.PROCESS)}[{q.RATE}])")
    memory = q.own(q.select("process_resident_memory_bytes", q.PROCESS))
    run = "job, instance, profile"
    # While load goes on: afterwards it stays as it was at the end.
    saturated = (f"max by ({run}) ({q.select('load_generator_saturated', q.PROFILE)}) and on ({run}) "
                 f"max by ({run}) ({q.select('load_phase_active', q.PROFILE)}) == 1")
    dropped, due = q.total("load_arrivals_dropped_total"), q.total("load_arrivals_due_total")
    return dashboard(
        "generator", "Generator", "Whether the generator kept up: start lag, dropped arrivals, CPU, memory, cost of scrapes.",
        [
            stat("Saturated", "How much of the load in the time shown had the generator as its bottleneck. A closed load is slower then than it could be.",
                 f"max by (profile) (avg_over_time(({saturated})[{q.SHOWN}:$__interval]))", "percentunit", legend="{{profile}}",
                 thresholds=[(None, "green"), (0.001, "yellow"), (0.05, "red")]),
            stat("Start lag p99", "How late arrivals started in the time shown: the generator's own doing." + EXACTLY,
                 q.quantile(0.99, LAG, window=q.SHOWN), "s", thresholds=[(None, "green"), (0.005, "yellow"), (0.01, "red")]),
            stat("Dropped arrivals", "Arrivals that never started, of those due in the time shown.", f"{q.ratio(dropped, due)} or {due} * 0", "percentunit",
                 thresholds=[(None, "green"), (0.0001, "yellow"), (0.01, "red")]),
            stat("CPU peak", "The most processor time in the time shown, in cores.", f"max({q.peak(cpu)})", "short", decimals=2),
            stat("Memory peak", "The most resident memory in the time shown.", f"max({q.peak(memory)})", "bytes"),
            stat("Profile loaded", "Whether the profile could be loaded last time; an old one stays in force where it could not.",
                 "min(" + q.select("load_exporter_profile_last_reload_successful", q.PROCESS) + ")", "none", mappings=YES_IS_GOOD),
            section("Keeping up"),
            lines("Start lag", "How late arrivals and users started. Above 10 ms for 1 in 20 the generator is late rather than the target slow. The axis is "
                  "logarithmic." + EXACTLY,
                  [(q.quantile(p, LAG), f"p{p * 100:g}") for p in (0.5, 0.95, 0.99)], "s", log=True, thresholds=[(None, "transparent"), (0.01, "red")]),
            states("Saturation", "When the generator was its own bottleneck.", f"max by (profile) ({saturated})", "{{profile}}",
                   [value(1, "saturated", "red"), value(0, "", "transparent", 1)], (12, 8)),
            lines("Arrivals that never started", "By reason: no free user (busy), no data left (data), a target that was never reached "
                  "(dead_target). Empty while there are none.",
                  [(q.rate("load_arrivals_dropped_total", "scenario, reason") + " > 0", "{{scenario}} {{reason}}")], "ops", stack=True),
            lines("Arrivals waiting", "Arrivals that are due and wait for a free user.",
                  [("sum by (scenario) (" + q.select("load_arrivals_waiting") + ")", "{{scenario}}")], "short"),
            lines("Users", "Virtual users: wanted, and alive.",
                  [("sum(" + q.select("load_users_wanted", q.SCENARIO) + ")", "wanted"), ("sum(" + q.select("load_users", q.SCENARIO) + ")", "alive")],
                  "short"),
            section("Process"),
            lines("CPU", "Processor time, in cores.", [(cpu, "{{instance}}")],
                  "short"),
            lines("CPU per request", "Processor time for each request: falls as load rises, and stays.",
                  [(f"sum({cpu}) / ({q.rate('load_requests_total', matchers=q.PROCESS)} > 0)", "mean")], "s"),
            lines("Resident memory", "Stays as it is for days; grows with users and open connections only.",
                  [(memory, "{{instance}}")], "bytes"),
            lines("File descriptors", "Open, and the most that may be.",
                  [(f"sum({q.own(q.select('process_open_fds', q.PROCESS))})", "open"), (f"sum({q.own(q.select('process_max_fds', q.PROCESS))})", "limit")],
                  "short"),
            section("Being scraped"),
            lines("Scrape duration", "What it takes Prometheus to read /metrics.", [(q.own(q.select("scrape_duration_seconds", q.PROCESS)), "{{instance}}")],
                  "s"),
            lines("Samples of a scrape", "Series on /metrics, as Prometheus counts them.",
                  [(q.own(q.select("scrape_samples_scraped", q.PROCESS)), "{{instance}}")], "short"),
            lines("Reads of the target's counters", "Whether each source of the target's series could be read last time.",
                  [(q.select("load_target_scrape_success", q.PROFILE), "{{instance}} {{profile}} {{source}}")], "none", (24, 6), high=1),
            section("The machine, from node_exporter"),
            lines("Processors", "The share of their time in which they had something to do; empty without a node_exporter.",
                  [(f'1 - avg by (instance) (rate(node_cpu_seconds_total{{{NODE},mode="idle"}}[{q.RATE}]))', "{{instance}}")], "percentunit", high=1),
            lines("Memory", "What is still available, of all; empty without a node_exporter.",
                  [(f"node_memory_MemAvailable_bytes{{{NODE}}} / node_memory_MemTotal_bytes{{{NODE}}}", "{{instance}}")], "percentunit", high=1),
            lines("Network", "Bytes that all devices but the loopback received and sent, a second; empty without a node_exporter that "
                  "shares the machine's network, as that of the compose file doesn't.",
                  [(f'sum by (instance) (rate(node_network_{way}_bytes_total{{{NODE},device!="lo"}}[{q.RATE}]))', f"{{{{instance}}}} {name}")
                   for way, name in (("receive", "received"), ("transmit", "sent"))], "Bps"),
            lines("TCP", "Segments that were sent again, a second: the network between loses some. Empty without a node_exporter that "
                  "shares the machine's network.",
                  [(f"rate(node_netstat_Tcp_RetransSegs{{{NODE}}}[{q.RATE}])", "{{instance}}")], "ops"),
        ],
        variables=[variable("node", "Machine", "label_values(node_uname_info, instance)")],
    )
