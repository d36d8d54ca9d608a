"""What several dashboards show."""

from . import promql as q
from .model import MISSED, lines, table

RESPONSE, SERVICE = "load_response_duration_seconds", "load_service_duration_seconds"
ANSWERED = 'outcome!="error"'
# How well classic buckets show a quantile.
EXACTLY = " From native histograms a quantile is right to 0.5 %; from classic ones it is read off between two powers of two, from 0.24 ms to 128 s."


# A requirement of one exporter, and one whichever exporter judged it.
EACH, ANY = "job, instance, profile, slo, phase, requirement", "profile, slo, phase, requirement"


def required(query):
    """Without what is only aimed at (`target`)."""
    return f"({query} unless on ({EACH}) {q.select('load_slo_required', q.PHASE)} == 0)"


def met():
    """Whether each requirement was met, by every exporter that judged it."""
    return f"min by ({ANY}) {required(q.select('load_slo_met', q.PHASE))}"


def state():
    """What a profile's last run came to, as `VERDICT` says it. Of several exporters the highest counts: a failure is never hidden."""
    one = "{} * sum by (job, instance, profile) (" + q.select("load_verdict", q.PROFILE, 'verdict="%s"') + ")"
    code = " + ".join(one.replace("{}", str(code), 1) % verdict for verdict, code in (("none", 1), ("pass", 2), ("inconclusive", 4), ("fail", 5)))
    begun = q.select("load_run_start_timestamp_seconds", q.PROFILE)
    return f"max by (profile) (3 * (({code}) == bool 0 and on (job, instance, profile) {begun}) + ({code}) or ({code}))"


def requirements(size):
    """A table of every requirement; what was missed comes first, and targets last. Of several exporters the worst is shown."""
    asked, came = (q.select(f"load_slo_{name}", q.PHASE) for name in ("objective", "met"))
    # 2, 1 and 0 for what is missed, not known and met; 3 less for a target.
    came = f"(2 - 2 * {came} or {asked} * 0 + 1)"
    target = f"max by ({EACH}) ({q.select('load_slo_required', q.PHASE)} == bool 0)"
    result = f"({came} - on ({EACH}) 3 * {target} or on ({EACH}) {came})"
    worst = f"({result} == on ({ANY}) group_left () max by ({ANY}) {result})"

    def measured(unit):
        # The values of the exporters where it came out worst; of those the one that is furthest off.
        of = [q.select("load_slo_value", q.PHASE, f'requirement{way}".+ >=? .+",{unit}') for way in ("!~", "=~")]
        return f"max by ({ANY}) ({of[0]} and on ({EACH}) {worst}) or min by ({ANY}) ({of[1]} and on ({EACH}) {worst})"

    # In the unit of what is asked for: a time, a share (an hour), a count or rate.
    kinds = (("time", "s", 'requirement=~".*[0-9](us|µs|ms|s|m|min|h)"'), ("share", "percentunit", 'requirement=~".*%(/h)?"'),
             ("value", "short", 'requirement!~".*([0-9](us|µs|ms|s|m|min|h)|%(/h)?)"'))
    return table("Requirements", "What each requirement of each SLO came to, missed ones first: in the present run, or in the last one until it is "
                 "judged anew. Not known where the answer hangs on what isn't known. Where several exporters have the profile, the row is of the one "
                 "where it came out worst. A target fails no run, and stands behind.",
                 [(f"max by ({ANY}) {result}", "result"), *((measured(unit), name) for name, _, unit in kinds)], "none", size, sort="result",
                 units={name: unit for name, unit, _ in kinds}, mapped={"result": MISSED})


def response(title, metric=RESPONSE, size=(12, 8), more=""):
    """Quantiles over time, each protocol by itself: what a session waits for takes its time, and says nothing of requests."""
    return lines(title, f"From when a request was due to its end; failed requests aside, timeouts included. The axis is logarithmic.{more}{EXACTLY}",
                 [(q.quantile(p, metric, "protocol", extra=ANSWERED), f"{{{{protocol}}}} p{p * 100:g}") for p in (0.5, 0.95, 0.99)], "s", size,
                 log=True)
