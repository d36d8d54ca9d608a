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


def select(metric, matchers=LOAD, extra=""):
    """A selector: the metric, its dashboard's variables, and what the panel adds."""
    inside = ",".join(part for part in (matchers, extra) if part)
    return f"{metric}{{{inside}}}" if inside else metric


def rate(metric, by="", matchers=LOAD, extra="", window=RATE):
    """How fast a counter grows, a second, summed."""
    return f"sum{grouped(by)} (rate({select(metric, matchers, extra)}{over(window)}))"


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
