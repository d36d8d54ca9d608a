"""Recording and alert rules that hold for every profile, in Prometheus' and in Grafana's format.

Rules of a profile's own SLOs come from `load-exporter rules PROFILE`. Only phases that are judged count: a warm-up, a planned
stress (`judge: false`) and the limit that a search looks for raise no alert. Burn rates and their windows are those of the
SRE workbook, chapter 5: an alert needs a long window, so that it is worth it, and a short one, so that it ends soon.
"""

ERROR_BUDGET = 0.001     # of requests may fail
SLOW_BUDGET = 0.01       # of answers may take longer than a second
LEAST = 100              # requests in the long window, below which a ratio says nothing

WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
PAGES = (("1h", "5m", 14.4), ("6h", "30m", 6))
TICKETS = (("1d", "2h", 3), ("3d", "6h", 1))

JUDGED = "and on (job, instance, profile, phase) (load_phase_judged == 1)"
ANSWERED = 'outcome!="error"'


def _sum(metric, window, matchers=""):
    inside = f"{{{matchers}}}" if matchers else ""
    return f"sum by (job, profile) (rate({metric}{inside}[{window}]) {JUDGED})"


def _recording():
    rules = []
    for window in WINDOWS:
        requests = _sum("load_requests_total", window)
        rules.append(("load:requests:rate" + window, requests))
        errors = _sum("load_request_errors_total", window)
        rules.append(("load:request_errors:ratio_rate" + window, f"{errors} / (load:requests:rate{window} > 0)"))
        native = f"histogram_fraction(0, 1, {_sum('load_response_duration_seconds', window, ANSWERED)})"
        below = _sum("load_response_duration_seconds_bucket", window, ANSWERED + ',le=~"1|1[.]0"')
        whole = _sum("load_response_duration_seconds_count", window, ANSWERED)
        rules.append(("load:responses_slow:ratio_rate" + window, f"1 - ({native} or {below} / ({whole} > 0))"))
    return rules


def _burn(ratio, budget, pairs):
    parts = []
    for long, short, factor in pairs:
        level = f"{factor} * {budget}"
        enough = f"load:requests:rate{long} * {_seconds(long)} > {LEAST}"
        parts.append(f"({ratio}{long} > {level} and {ratio}{short} > {level} and {enough})")
    return " or ".join(parts)


def _seconds(window):
    return int(window[:-1]) * {"m": 60, "h": 3600, "d": 86400}[window[-1]]


def _rule(name, severity, wait, expr, summary, description):
    return {"alert": name, "expr": expr, "for": wait, "labels": {"severity": severity},
            "annotations": {"summary": summary, "description": description}}


RUNNING = "max by (job, instance, profile) (load_phase_active * load_phase_judged) == 1"
UNDER_LOAD = "and on () (max(load_phase_active * load_phase_judged) == 1)"


def alerts():
    """Every alert, in the order in which they are shown."""
    errors, slow = "load:request_errors:ratio_rate", "load:responses_slow:ratio_rate"
    who = "{{ $labels.profile }}"
    churn = ("sum by (job, instance, profile, scenario) (rate(load_disconnects_total[5m]) " + JUDGED + ")")
    return [
        _rule("LoadErrorBudgetBurns", "page", "1m", _burn(errors, ERROR_BUDGET, PAGES), f"Requests of {who} fail",
              "{{ $value | humanizePercentage }} of requests fail: the error budget of 0.1 % is spent many times faster than it may be."),
        _rule("LoadErrorBudgetErodes", "ticket", "15m", _burn(errors, ERROR_BUDGET, TICKETS), f"Requests of {who} fail, slowly",
              "{{ $value | humanizePercentage }} of requests fail: the error budget of 0.1 % will not last."),
        _rule("LoadLatencyBudgetBurns", "page", "1m", _burn(slow, SLOW_BUDGET, PAGES), f"Answers to {who} are slow",
              "{{ $value | humanizePercentage }} of answers take longer than a second, of 1 % that may."),
        _rule("LoadLatencyBudgetErodes", "ticket", "15m", _burn(slow, SLOW_BUDGET, TICKETS), f"Answers to {who} are slow, now and then",
              "{{ $value | humanizePercentage }} of answers take longer than a second, of 1 % that may: the budget will not last."),
        _rule("LoadTargetDown", "page", "1m",
              f"sum by (job, instance, profile) (rate(load_connect_failures_total[1m]) {JUDGED}) / "
              f"(sum by (job, instance, profile) (rate(load_connects_total[1m]) {JUDGED}) > 0) > 0.9",
              f"The target of {who} can't be reached",
              "{{ $value | humanizePercentage }} of the attempts to connect to it fail. What load_connect_failures_total gives as reason tells "
              "whether it is away (refused), unknown (dns) or silent (timeout)."),
        _rule("LoadExporterDown", "page", "2m", 'up{job="load-exporter"} == 0', "load-exporter can't be scraped",
              "{{ $labels.instance }} does not answer: no load is measured."),
        _rule("LoadGeneratorSaturated", "ticket", "1m", f"(max by (job, instance, profile) (load_generator_saturated) == 1) and ({RUNNING})",
              f"The generator of {who} is its own bottleneck",
              "Its figures hold delays of its own. Verdicts take them into account, and may be inconclusive. Give it more processors, or split the load among several generators (--shard)."),
        _rule("LoadArrivalsDropped", "ticket", "1m",
              f"sum by (job, instance, profile, scenario) (rate(load_arrivals_dropped_total[5m]) {JUDGED}) / "
              f"(sum by (job, instance, profile, scenario) (rate(load_arrivals_due_total[5m]) {JUDGED}) > 0) > 0.01",
              "Arrivals of {{ $labels.scenario }} are dropped",
              "{{ $value | humanizePercentage }} of what was due never started. The target is slower than the users can bear (raise max_users), or a "
              "data file ran out; the label reason of load_arrivals_dropped_total tells."),
        _rule("LoadRunFailed", "page", "0s", 'max by (job, instance, profile) (load_verdict{verdict="fail"}) == 1', f"The last run of {who} failed",
              "Which requirement it was, load_slo_met tells; the run's summary.txt under the storage path has the figures."),
        _rule("LoadRunInconclusive", "ticket", "0s", 'max by (job, instance, profile) (load_verdict{verdict="inconclusive"}) == 1',
              f"The last run of {who} proves nothing", "The run's summary.txt under the storage path gives the reasons."),
        _rule("LoadRunOverdue", "ticket", "1m", "time() - max by (job, instance, profile) (load_run_next_timestamp_seconds) > 300",
              f"A run of {who} has not begun", "It was due {{ $value | humanizeDuration }} ago by the profile's schedule."),
        _rule("LoadProfileNotReloaded", "ticket", "1m", "load_exporter_profile_last_reload_successful == 0",
              "{{ $labels.instance }} could not load its profile", "It goes on with the old one; its log and `load-exporter check` tell what is wrong."),
        _rule("LoadCountersMissing", "ticket", "2m", f"(load_target_scrape_success == 0) and on (job, instance, profile) ({RUNNING})",
              "The target's counters can't be read from {{ $labels.source }}",
              "What the phases cost the target stays unknown, and requirements on it are inconclusive."),
        _rule("LoadConnectionChurn", "ticket", "2m",
              f"{churn} / (sum by (job, instance, profile, scenario) (load_connections) > 0) > 0.01",
              "Connections of {{ $labels.scenario }} break",
              "{{ $value | humanizePercentage }} of the open connections end unasked every second; load_disconnects_total has the reasons."),
        _rule("LoadFanOutLoss", "page", "1m",
              f"sum by (job, instance, profile, scenario) (rate(load_messages_missed_total[5m]) {JUDGED}) / "
              f"(sum by (job, instance, profile, scenario) (rate(load_messages_missed_total[5m]) {JUDGED}) + "
              f"sum by (job, instance, profile, scenario) (rate(load_messages_total{{direction=\"received\"}}[5m]) {JUDGED}) > 0) > 0.005",
              "Listeners of {{ $labels.scenario }} miss messages", "{{ $value | humanizePercentage }} of the numbered messages never came."),
        _rule("LoadPostgresPoolNearLimit", "ticket", "2m",
              "(sum by (instance) (pg_stat_database_numbackends) / max by (instance) (pg_settings_max_connections) > 0.8) " + UNDER_LOAD,
              "PostgreSQL on {{ $labels.instance }} runs out of connections",
              "{{ $value | humanizePercentage }} of max_connections are in use. A pooler in front, or smaller pools in the application."),
        _rule("LoadRedisHitRatioLow", "ticket", "5m",
              "(sum by (instance) (rate(redis_keyspace_hits_total[5m])) / (sum by (instance) (rate(redis_keyspace_hits_total[5m])) + "
              "sum by (instance) (rate(redis_keyspace_misses_total[5m])) > 10) < 0.8) " + UNDER_LOAD,
              "Redis on {{ $labels.instance }} misses", "Only {{ $value | humanizePercentage }} of the reads under load find their key."),
        _rule("LoadRedisMemoryNearLimit", "ticket", "5m",
              "(redis_memory_used_bytes / (redis_memory_max_bytes > 0) > 0.8) " + UNDER_LOAD,
              "Redis on {{ $labels.instance }} is nearly full",
              "{{ $value | humanizePercentage }} of its memory is used; what it does then is its eviction policy's."),
    ]


HEAD = "# Made by grafana/generate from grafana/definition/alerts.py: change it there.\n"


def recording_rules():
    """config/prometheus/rules/recording.yml"""
    rules = [{"record": name, "expr": expr} for name, expr in _recording()]
    return {"groups": [{"name": "load-exporter-recording", "interval": "30s", "rules": rules}]}


def alert_rules():
    """config/prometheus/rules/alerts.yml"""
    return {"groups": [{"name": "load-exporter-alerts", "rules": alerts()}]}


def grafana_rules():
    """grafana/provisioning/alerting/rules.yml: the same alerts for those who let Grafana alert.

    The query has a result for each alert and none where all is well, whatever its value: hence `* 0 + 1`, and no data is good news.
    """
    rules = []
    for rule in alerts():
        condition = [{"evaluator": {"type": "gt", "params": [0]}, "operator": {"type": "and"}, "query": {"params": ["B"]},
                      "reducer": {"type": "last", "params": []}, "type": "query"}]
        rules.append({
            "uid": "load-exporter-" + rule["alert"].removeprefix("Load").lower(), "title": rule["alert"], "condition": "C",
            "data": [
                _data("A", "prometheus", {"expr": f"({rule['expr']}) * 0 + 1", "instant": True, "range": False, "refId": "A"}),
                _data("B", "__expr__", {"type": "reduce", "expression": "A", "reducer": "last", "refId": "B"}),
                _data("C", "__expr__", {"type": "threshold", "expression": "B", "refId": "C", "conditions": condition}),
            ],
            "noDataState": "OK", "execErrState": "Error", "for": rule["for"], "isPaused": False,
            "labels": rule["labels"], "annotations": {name: _escaped(text) for name, text in rule["annotations"].items()},
        })
    group = {"orgId": 1, "name": "load-exporter", "folder": "Load", "interval": "1m", "rules": rules}
    return {"apiVersion": 1, "groups": [group]}


def _data(name, source, model):
    return {"refId": name, "relativeTimeRange": {"from": 600, "to": 0}, "datasourceUid": source, "model": model}


def _escaped(text):
    """Grafana expands $NAME in its files, and its query A holds 1, whatever the value was."""
    text = text.replace("{{ $value | humanizePercentage }} of", "Too many of").replace("{{ $value | humanizeDuration }}", "some time")
    return text.replace("$", "$$")
