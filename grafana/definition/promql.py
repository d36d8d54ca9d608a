"""PromQL that holds for every Prometheus that load-exporter is scraped by.

A server that keeps native histograms may have no `_bucket` series, and one that doesn't has nothing else: what reads a
histogram asks for the native one, `or` for its classic twin. 3.x writes `le="1.0"` where 2.x has `le="1"`.
"""

RATE = "$__rate_interval"

# What every query is narrowed by. `phase` and `scenario` only where the metric has the label.
PROFILE = 'job=~"$job",instance=~"$instance",profile=~"$profile"'
PHASE = PROFILE + ',phase=~"$phase"'
SCENARIO = PROFILE + ',scenario=~"$scenario"'
LOAD = SCENARIO + ',phase=~"$phase"'
PROCESS = 'job=~"$job",instance=~"$instance"'

# The whole time that is shown.
SHOWN = "$__range"


def select(metric, matchers=LOAD, extra=""):
    """A selector: the metric, its dashboard's variables, and what the panel adds."""
    inside = ",".join(part for part in (matchers, extra) if part)
    return f"{metric}{{{inside}}}" if inside else metric


def rate(metric, by="", matchers=LOAD, extra="", window=RATE):
    """How fast a counter grows, a second, summed."""
    return f"sum{grouped(by)} (rate({select(metric, matchers, extra)}{over(window)}))"


def own(query):
    """Of load-exporter itself: metrics that every process has, and that Prometheus adds, without those of other jobs."""
    return f"{query} and on (job, instance) load_exporter_build_info"


def total(metric, by="", matchers=LOAD, extra=""):
    """What a counter counted over the time shown: exactly, where `increase` would extrapolate, unless it began again meanwhile.

    A process's counters begin at 0. Where the process is older than the time shown, and the time's first moment lacks a sample (a scrape
    failed, Prometheus was not there), the count begins at the first sample: without a reset, the least is the first.
    """
    selected = select(metric, matchers, extra)
    last = f"last_over_time({selected}[{SHOWN}])"
    # The moment at which the time shown begins, to the second.
    first = f"scalar(last_over_time(vector(time())[10s:1s] offset {SHOWN}))"
    young = f"last_over_time({select('process_start_time_seconds', PROCESS)}[{SHOWN}]) > {first}"
    before = f"{selected} offset {SHOWN} or {last} * 0 and on (job, instance) ({young}) or min_over_time({selected}[{SHOWN}])"
    exact = f"({last} - ({before})) unless resets({selected}[{SHOWN}]) > 0"
    return f"sum{grouped(by)} ({exact} or increase({selected}[{SHOWN}]))"


def peak(query):
    """The highest value over the time shown."""
    return f"max_over_time(({query})[{SHOWN}:$__interval])"


def over(window):
    """A range: `5m`, or `5m offset 1h`."""
    length, _, offset = window.partition(" offset ")
    return f"[{length}] offset {offset}" if offset else f"[{length}]"


def grouped(by):
    """The `by (…)` of an aggregation; nothing for a sum over all."""
    return f" by ({by})" if by else ""


def ratio(part, whole):
    """A part of a whole, and nothing where there is no whole."""
    return f"{part} / ({whole} > 0)"


def quantile(q, metric, by="", matchers=LOAD, extra="", window=RATE):
    """A quantile of a histogram, native or classic."""
    with_le = f"{by}, le" if by else "le"
    native = f"histogram_quantile({q}, sum{grouped(by)} (rate({select(metric, matchers, extra)}{over(window)})))"
    classic = f"histogram_quantile({q}, sum by ({with_le}) (rate({select(metric + '_bucket', matchers, extra)}{over(window)})))"
    return f"{native} or {classic}"


def mean(metric, by="", matchers=LOAD, extra="", window=RATE):
    """The mean of a histogram, native or classic."""
    inner = f"sum{grouped(by)} (rate({select(metric, matchers, extra)}{over(window)}))"
    native = f"histogram_sum({inner}) / (histogram_count({inner}) > 0)"
    classic = ratio(rate(metric + "_sum", by, matchers, extra, window), rate(metric + "_count", by, matchers, extra, window))
    return f"{native} or {classic}"


def count(metric, by="", matchers=LOAD, extra="", window=RATE):
    """How many observations a second a histogram takes, native or classic."""
    native = f"histogram_count(sum{grouped(by)} (rate({select(metric, matchers, extra)}{over(window)})))"
    return f"{native} or {rate(metric + '_count', by, matchers, extra, window)}"


def heat(metric, matchers=LOAD, extra=""):
    """The buckets of a heatmap, native or classic."""
    native = f"sum(increase({select(metric, matchers, extra)}[{RATE}]))"
    classic = f"sum by (le) (increase({select(metric + '_bucket', matchers, extra)}[{RATE}]))"
    return f"{native} or {classic}"
