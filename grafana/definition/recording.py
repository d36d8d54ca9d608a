"""Recording rules that hold for every profile: what alerts and dashboards compare.

Only phases that are judged count. Windows above five minutes are built from what is recorded over five minutes: a rate over days of
the raw series would be asked of tens of thousands of them.
"""

INTERVAL = 30            # seconds between evaluations of the group
BASE = "5m"
LONG = ("30m", "1h", "2h", "6h", "1d", "3d")

RUN = "job, instance, profile"


def seen(metric):
    """A gauge as it was scraped last. A scrape that fails makes all series stale, and no alert should end by that."""
    return f"last_over_time({metric}[5m])"


JUDGED = f"and on ({RUN}, phase) ({seen('load_phase_judged')} == 1)"


def seconds(window):
    """The length of a window."""
    return int(window[:-1]) * {"m": 60, "h": 3600, "d": 86400}[window[-1]]


def judged(metric, window, by):
    """How fast a counter grows in judged phases, a second, summed."""
    return f"sum by ({by}) (rate({metric}[{window}]) {JUDGED})"


def _requests():
    requests, errors, ratio = "load:requests:rate", "load:request_errors:rate", "load:request_errors:ratio_rate"
    yield requests + BASE, judged("load_requests_total", BASE, "job, profile")
    yield errors + BASE, judged("load_request_errors_total", BASE, "job, profile")
    yield ratio + BASE, f"{errors}{BASE} / ({requests}{BASE} > 0)"
    for window in LONG:
        of_requests, of_errors = f"sum_over_time({requests}{BASE}[{window}])", f"sum_over_time({errors}{BASE}[{window}])"
        yield requests + window, f"{of_requests} * {INTERVAL} / {seconds(window)}"
        yield ratio + window, f"{of_errors} / ({of_requests} > 0)"


def _last(name, yes, no):
    """Whether the last run came to a verdict. It stands after a restart that finds no stored run, where `load_run_last_verdict` has none."""
    def said(verdicts):
        return f"max by ({RUN}) ({seen(f'load_run_last_verdict{{verdict=~{verdicts}}}')} == 1)"

    return name, f"{said(yes)} or {said(no)} * 0 or last_over_time({name}[1d]) and on ({RUN}) {seen('load_run_last_verdict')}"


def rules():
    """Names and expressions, in the order in which they are evaluated."""
    yield from _requests()
    # Only a run that passes, or that requires nothing, answers a failure: one that proves nothing doesn't.
    yield _last("load:run_failed:last", '"fail"', '"pass|none"')
    yield _last("load:run_inconclusive:last", '"inconclusive"', '"pass|none|fail"')
