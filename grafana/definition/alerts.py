"""Alert rules that hold for every profile, in Prometheus' and in Grafana's format.

They say what is broken, not what is too slow: budgets are the profile's own, and `load-exporter rules PROFILE` makes their rules. Only
phases that are judged count: a warm-up, a planned stress (`judge: false`) and the limit that a search looks for raise no alert.
Each alert has a section in docs/runbooks.md.
"""

import os

from . import recording
from .recording import JUDGED, RUN, judged, seconds, seen

# Where the sections on alerts stand, and where Grafana is; others are given in the environment when the rules are made.
RUNBOOKS = os.environ.get("RUNBOOKS_URL", "docs/runbooks.md")
GRAFANA = os.environ.get("GRAFANA_URL", "http://127.0.0.1:3000")

RUNNING = f"max by ({RUN}) ({seen('load_phase_active')} * {seen('load_phase_judged')}) == 1"
EXPORTER = 'up{job="load-exporter"}'
# What a target that is away answers with, as in docs/operations.md.
AWAY = 'reason=~"dns|refused|reset|timeout|tls|closed"'
# Fewer are a mishap.
LEAST = 5
# How long after its time a run may end: set-up, verify and drains are no part of the phases' length.
LATE = 7200

SCENARIO = RUN + ", scenario"


def _share(part, whole, window, by=SCENARIO):
    """What part of all is bad in judged phases, where it is bad more than a few times."""
    least = round(LEAST / seconds(window), 4)
    return f"({judged(part, window, by)} > {least}) / ({judged(whole, window, by)} > 0)"


def _required(requirement):
    """What an SLO requires, in each scenario that it judges; targets aside."""
    metric = f'load_slo_required{{requirement=~"{requirement}"}}'
    return f"({seen(metric)} == 1)"


def _more(share, measure, otherwise):
    """Where a share is more than the scenario's own requirements allow (the laxest of them), or than is borne where it has none."""
    objective = seen(f'load_slo_objective{{requirement=~"{measure} <=? .+"}}')
    own = f"max by ({SCENARIO}) ({_required(measure + ' <=? .+')} * on ({RUN}, slo, phase, requirement) group_left () {objective})"
    return f"({share}) > ({own} or ({share}) * 0 + {otherwise})"


def _dropped():
    return _more(_share("load_arrivals_dropped_total", "load_arrivals_due_total", "5m"), "dropped", 0.01)


def _target_down():
    """Only what says that the target is away: one that refuses a handshake is there, and `local` is this machine's own."""
    connects = _share(f"load_connect_failures_total{{{AWAY}}}", "load_connects_total", "3m")
    requests = _share(f'load_request_errors_total{{protocol="http",{AWAY}}}', 'load_requests_total{protocol="http"}', "3m")
    return f"max by ({RUN}) ({connects} > 0.9 or {requests} > 0.9)"


def _exporter_down():
    """It doesn't answer; all are gone from service discovery; one of several is.

    One of several is gone where there are fewer than in the whole hour before the last: one that is replaced was there beside its successor for less.
    """
    count = f"count by (job) ({EXPORTER})"
    fewer = f"{count} < min_over_time({count}[1h:1m] offset 1h)"
    return f"{EXPORTER} == 0 or absent({EXPORTER}) or (max_over_time({EXPORTER}[1h]) unless {EXPORTER}) and on (job) ({fewer})"


def _churn():
    by = SCENARIO + ", protocol"
    lost = f"({judged('load_disconnects_total', '5m', by)} > {round(LEAST / seconds('5m'), 4)})"
    # A share of all connections, not of those open each second: such a scenario has the rules of its own requirements.
    own = _required("disconnects .*")
    # Over the same time: what is lost in a phase of a thousand isn't held against the twenty of the next.
    were_open = f"sum by ({by}) (max_over_time(load_connections[5m]))"
    return f"max by ({SCENARIO}) ({lost} / ({were_open} > 0)) > 0.01 unless on ({SCENARIO}) {own}"


def _missed():
    missed, came = (judged(f"load_messages_{name}_total", "5m", SCENARIO) for name in ("missed", "numbered"))
    least = round(LEAST / seconds("5m"), 4)
    return _more(f"({missed} > {least}) / ({missed} + {came})", "missed", 0.005)


def _of(metric):
    """A gauge of a profile, whatever its other labels."""
    return f"max by ({RUN}) ({seen(metric)})"


def _overdue():
    running = f"({_of('load_verdict')} == 0 and {_of('load_run_start_timestamp_seconds')})"
    return f"(time() - {_of('load_run_next_timestamp_seconds')} > 300) unless {running}"


def _missing():
    since = f"({_of('load_run_completed_timestamp_seconds')} or {_of('load_exporter_profile_last_reload_success_timestamp_seconds')})"
    return f"time() - {since} > {_of('load_run_period_seconds')} + {LATE}"


def _level(used, of):
    """A level of the target at the end of the judged phases, of its limit; as the profile's own sources have it, and no other system.

    It stands while the next run goes on, at whose start what the last one read is cleared.
    """
    system = RUN + ", phase, source, target_instance"

    def after(metric):
        return f"sum by ({system}) (last_over_time(load_target_after{{metric=\"{metric}\"}}[1h]) {JUDGED})"

    return f"max by ({RUN}, source, target_instance) ({after(used)} / ({after(of)} > 0)) > 0.8"


def _rule(name, severity, wait, expr, summary, description, dashboard="overview"):
    profile = "" if name.startswith("LoadExporter") else "?var-profile={{ $labels.profile }}"
    return {"alert": name, "expr": expr, "for": wait, "labels": {"severity": severity},
            "annotations": {"summary": summary, "description": description, "runbook_url": f"{RUNBOOKS}#{name.lower()}",
                            "dashboard": f"{GRAFANA}/d/load-exporter-{dashboard}{profile}"}}


def alerts():
    """Every alert, in the order in which they are shown."""
    who, share = "{{ $labels.profile }}", "{{ $value | humanizePercentage }}"
    scenario = "{{ $labels.scenario }} of " + who
    system = "{{ $labels.source }}{{ with $labels.target_instance }} ({{ . }}){{ end }}"
    return [
        _rule("LoadExporterDown", "page", "2m", _exporter_down(), "load-exporter can't be scraped",
              "{{ with $labels.instance }}{{ . }} does not answer{{ else }}Prometheus has no target of the job load-exporter any more{{ end }}: "
              "no load is measured, and nothing else that is wrong with it can be seen.", "generator"),
        _rule("LoadExporterRestarts", "ticket", "0s", 'changes(process_start_time_seconds{job="load-exporter"}[1h]) > 2',
              "load-exporter on {{ $labels.instance }} restarts again and again",
              "It began anew {{ $value }} times within an hour, and each time cut its runs short.", "generator"),
        _rule("LoadTargetDown", "page", "1m", _target_down(), f"The target of {who} can't be reached",
              f"{share} of the attempts to reach it fail, over three minutes and in one scenario at least. What load_connect_failures_total gives as "
              "reason says whether it is away (refused), unknown (dns) or silent (timeout).", "connections"),
        _rule("LoadRunFailed", "page", "0s", "load:run_failed:last == 1", f"The last run of {who} failed",
              "No run has passed since. summary.txt of the run, under the storage path, says why: a requirement that was missed, which the dashboard "
              "shows too, a check of verify, or a set-up that failed.",
              "slo"),
        _rule("LoadRunInconclusive", "ticket", "0s", "load:run_inconclusive:last == 1", f"The last run of {who} proves nothing",
              "It neither passed nor failed. summary.txt of the run, under the storage path, gives the reasons.", "slo"),
        _rule("LoadRunOverdue", "ticket", "1m", _overdue(), f"A run of {who} has not begun",
              "It was due {{ $value | humanizeDuration }} ago by the profile's schedule."),
        _rule("LoadRunMissing", "ticket", "5m", _missing(), f"No run of {who} comes to its end",
              "The last one did {{ $value | humanizeDuration }} ago, or the profile was loaded then. By its schedule another one should have, two hours "
              "ago at least."),
        _rule("LoadProfileFaulted", "ticket", "0s", "round(increase(load_exporter_profile_faults_total[1h])) > 0",
              f"A fault of load-exporter ended a run of {who}",
              "It did so {{ $value }} times within an hour. The log has the fault, and the profile is begun again each time."),
        _rule("LoadProfileNotReloaded", "ticket", "1m", f"{seen('load_exporter_profile_last_reload_successful')} == 0",
              f"{{{{ $labels.instance }}}} could not load {who} anew", "It goes on with the old one; its log and `load-exporter check` say what is wrong."),
        _rule("LoadCountersMissing", "ticket", "2m", f"({seen('load_target_scrape_success')} == 0) and on ({RUN}) ({RUNNING})",
              f"The target's counters can't be read from {{{{ $labels.source }}}} for {who}",
              "What the phases cost the target stays unknown, and requirements on it are inconclusive.", "server"),
        _rule("LoadGeneratorSaturated", "ticket", "1m", f"{_of('load_generator_saturated')} == 1 and ({RUNNING})",
              f"The generator of {who} is its own bottleneck",
              "Its figures hold delays of its own. Verdicts take them into account, and may be inconclusive. Give it more processors, or split the load "
              "among several generators (--shard).", "generator"),
        _rule("LoadArrivalsDropped", "ticket", "1m", _dropped(), f"Arrivals of {scenario} are dropped",
              f"{share} of what was due never started. The target is slower than the users can bear (raise max_users), or a "
              "data file ran out; the label reason of load_arrivals_dropped_total says which.", "generator"),
        _rule("LoadConnectionChurn", "ticket", "2m", _churn(), f"Connections of {scenario} break",
              f"{share} of the open connections end unasked every second; load_disconnects_total has the reasons.", "connections"),
        _rule("LoadFanOutLoss", "ticket", "1m", _missed(), f"Listeners of {scenario} miss messages",
              f"{share} of the numbered messages never came.", "connections"),
        _rule("LoadPostgresPoolNearLimit", "ticket", "0s", _level("pg_stat_database_numbackends", "pg_settings_max_connections"),
              f"PostgreSQL of {who} runs out of connections",
              f"{system} had {share} of max_connections in use at a phase's end. A pooler in front, or smaller pools in the application.", "server"),
        _rule("LoadRedisMemoryNearLimit", "ticket", "0s", _level("redis_memory_used_bytes", "redis_memory_max_bytes"),
              f"Redis of {who} is nearly full",
              f"{system} had {share} of its memory in use at a phase's end; what it does when it is full is its eviction policy's.", "server"),
    ]


HEAD = "# Made by grafana/generate from grafana/definition/{}.py: change it there.\n"


def recording_rules():
    """config/prometheus/rules/recording.yml"""
    rules = [{"record": name, "expr": expr} for name, expr in recording.rules()]
    return {"groups": [{"name": "load-exporter-recording", "interval": f"{recording.INTERVAL}s", "rules": rules}]}


def alert_rules():
    """config/prometheus/rules/alerts.yml"""
    return {"groups": [{"name": "load-exporter-alerts", "rules": alerts()}]}


def grafana_rules():
    """grafana/provisioning/alerting/rules.yml: the same alerts for those who let Grafana alert, on what Prometheus records.

    The query has a result for each alert and none where all is well, whatever its value; no data is good news.
    """
    rules = []
    for rule in alerts():
        rules.append({
            "uid": "load-exporter-" + rule["alert"].removeprefix("Load").lower(), "title": rule["alert"], "condition": "C",
            "data": [
                _data("A", "prometheus", {"expr": _escaped(rule["expr"]), "instant": True, "range": False, "refId": "A"}),
                _data("B", "__expr__", {"type": "reduce", "expression": "A", "reducer": "last", "refId": "B"}),
                _data("C", "__expr__", {"type": "math", "expression": _escaped("is_number($B)"), "refId": "C"}),
            ],
            "noDataState": "OK", "execErrState": "Error", "for": rule["for"], "isPaused": False,
            "labels": rule["labels"],
            "annotations": {name: _escaped(text.replace("$value", "$values.B.Value")) for name, text in rule["annotations"].items()},
        })
    group = {"orgId": 1, "name": "load-exporter", "folder": "Load", "interval": "1m", "rules": rules}
    return {"apiVersion": 1, "groups": [group]}


def _data(name, source, model):
    return {"refId": name, "relativeTimeRange": {"from": 600, "to": 0}, "datasourceUid": source, "model": model}


def _escaped(text):
    """Grafana expands $NAME in its files."""
    return text.replace("$", "$$")
