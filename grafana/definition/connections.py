"""Connections: what is open, what comes and goes, and what arrives over it."""

from . import promql as q
from .common import EXACTLY
from .model import dashboard, heatmap, lines, section, stat

LATENCY = "load_message_latency_seconds"


def build():
    """The dashboard."""
    connects, missed = q.total("load_connects_total"), q.total("load_messages_missed_total")
    return dashboard(
        "connections", "Connections", "HTTP, WebSocket, Socket.IO and TCP: open connections, churn, connect time, messages.",
        [
            stat("Open", "Connections that are open just now.", "sum(" + q.select("load_connections", q.SCENARIO) + ")", "short"),
            stat("Failed connects", "Attempts to open a connection that failed, of all in the time shown.",
                 f"{q.ratio(q.total('load_connect_failures_total'), connects)} or {connects} * 0", "percentunit",
                 thresholds=[(None, "green"), (0.001, "yellow"), (0.01, "red")]),
            stat("Disconnects", "Connections that ended unasked in the time shown.", q.total("load_disconnects_total"), "short",
                 thresholds=[(None, "green"), (1, "yellow"), (100, "red")]),
            stat("Connect p95", "95 % of connections in the time shown were usable within this time." + EXACTLY,
                 q.quantile(0.95, "load_connect_duration_seconds", window=q.SHOWN), "s", thresholds=[(None, "green"), (0.5, "yellow"), (1, "red")]),
            stat("Message latency p95", "From a message's being published to its receipt, over the time shown." + EXACTLY,
                 q.quantile(0.95, LATENCY, window=q.SHOWN), "s", thresholds=[(None, "green"), (0.1, "yellow"), (0.2, "red")]),
            stat("Missed messages", "Numbered messages that never came to listeners that were connected, in the time shown.", missed, "short",
                 thresholds=[(None, "green"), (1, "yellow"), (100, "red")]),
            section("Connections"),
            lines("Open connections", "By protocol.", [("sum by (protocol) (" + q.select("load_connections", q.SCENARIO) + ")", "{{protocol}}")],
                  "short"),
            lines("Connects", "Attempts to open a connection, a second.", [(q.rate("load_connects_total", "protocol"), "{{protocol}}")], "cps"),
            lines("Failed connects by reason", "Attempts to open a connection that failed, a second; empty while there are none.",
                  [(q.rate("load_connect_failures_total", "protocol, reason") + " > 0", "{{protocol}} {{reason}}")], "cps", stack=True),
            lines("Disconnects by reason", "Connections that ended unasked, a second; empty while there are none.",
                  [(q.rate("load_disconnects_total", "protocol, reason") + " > 0", "{{protocol}} {{reason}}")], "cps", stack=True),
            lines("Connect time", "Until a connection was usable. The axis is logarithmic." + EXACTLY,
                  [(q.quantile(p, "load_connect_duration_seconds"), f"p{p * 100:g}") for p in (0.5, 0.95, 0.99)], "s", log=True),
            lines("Connect time by layer p95", "What DNS, TCP, TLS and the protocol's own handshake took of it. The axis is logarithmic." + EXACTLY,
                  [(q.quantile(0.95, "load_connect_layer_duration_seconds", "protocol, layer"), "{{protocol}} {{layer}}")], "s", log=True),
            section("Messages"),
            lines("Messages", "Within sessions, a second.",
                  [(q.rate("load_messages_total", "direction"), "{{direction}}")], "ops"),
            lines("Message latency", "From a message's being published to its receipt; empty where no message says when it was. The axis is "
                  "logarithmic." + EXACTLY,
                  [(q.quantile(p, LATENCY), f"p{p * 100:g}") for p in (0.5, 0.95, 0.99)], "s", log=True),
            heatmap("Distribution of message latency", "Every message that said when it was published.", q.heat(LATENCY)),
            lines("Missed, repeated, reordered", "Numbered messages that did not come once and in order, a second.",
                  [(q.rate("load_messages_missed_total"), "missed"), (q.rate("load_messages_repeated_total"), "repeated"),
                   (q.rate("load_messages_reordered_total"), "reordered")], "ops"),
            lines("Sessions p95", "How long sessions on one connection lasted. The axis is logarithmic." + EXACTLY,
                  [(q.quantile(0.95, "load_session_duration_seconds", "scenario, step"), "{{scenario}} {{step}}")], "s", log=True),
            lines("Silence", "The share of listening time that lies in silences longer than three times what `every` allows; empty where no handler says "
                  "`every`.",
                  [(q.ratio(q.rate("load_message_silent_seconds_total", "scenario, step"), q.rate("load_message_listening_seconds_total", "scenario, step")),
                    "{{scenario}} {{step}}")], "percentunit", high=1),
            lines("Clock skew", "Messages that came before they were published, a second: the target's clock differs from ours, and latencies "
                  "say as much less.", [(q.rate("load_message_clock_skew_total", "scenario, message"), "{{scenario}} {{message}}")], "ops"),
            lines("Messages that are no JSON", "Though an expression or an extraction asks for it, a second; empty where nothing does.",
                  [(q.rate("load_messages_unparsed_total", "scenario, step"), "{{scenario}} {{step}}")], "ops"),
        ],
    )
