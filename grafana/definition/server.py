"""Server: the target's Redis and PostgreSQL beside what users see."""

from . import promql as q
from .common import response
from .model import dashboard, lines, linked, section, stat, table
from .soak import servers

REDIS, POSTGRES = 'instance=~"$redis"', 'instance=~"$postgres"'


def _rate(metric, matchers, by="", aggregate="sum"):
    return f"{aggregate}{q.grouped(by)} (rate({metric}{{{matchers}}}[{q.RATE}]))"


def _part(part, rest, matchers):
    """What one counter is of two, over the time shown."""
    part, rest = (f"sum(increase({metric}{{{matchers}}}[{q.SHOWN}]))" for metric in (part, rest))
    return q.ratio(part, f"({part} + {rest})")


def build():
    """The dashboard."""
    hits = _part("redis_keyspace_hits_total", "redis_keyspace_misses_total", REDIS)
    memory = f"max(redis_memory_used_bytes{{{REDIS}}} / (redis_memory_max_bytes{{{REDIS}}} > 0))"
    pool = f"max(sum by (instance) (pg_stat_database_numbackends{{{POSTGRES}}}) / max by (instance) (pg_settings_max_connections{{{POSTGRES}}}))"
    cached = _part("pg_stat_database_blks_hit", "pg_stat_database_blks_read", POSTGRES)
    return dashboard(
        "server", "Server", "Redis and PostgreSQL beside the client's latency, and what each phase cost them.",
        [
            stat("Cache hit ratio", "Reads that Redis could answer, of all in the time shown.", hits, "percentunit", (6, 4),
                 thresholds=[(None, "red"), (0.8, "yellow"), (0.9, "green")]),
            stat("Redis memory", "The most of its limit that was used in the time shown; nothing where it has none.", q.peak(memory), "percentunit", (6, 4),
                 thresholds=[(None, "green"), (0.6, "yellow"), (0.8, "red")]),
            stat("PostgreSQL connections", "The most of its limit that was used in the time shown.", q.peak(pool), "percentunit", (6, 4),
                 thresholds=[(None, "green"), (0.6, "yellow"), (0.8, "red")]),
            stat("PostgreSQL cache", "Blocks that it found in its own memory, of all in the time shown.", cached, "percentunit", (6, 4),
                 thresholds=[(None, "red"), (0.9, "yellow"), (0.99, "green")]),
            section("The client's latency"),
            linked(response("Response time", more=" To lay the curves below beside."), "requests"),
            lines("Requests", "Requests that ended, a second.", [(q.rate("load_requests_total", "scenario"), "{{scenario}}")], "reqps"),
            section("Redis"),
            lines("Hits and misses", "Reads of keys, a second.",
                  [(_rate("redis_keyspace_hits_total", REDIS), "hits"), (_rate("redis_keyspace_misses_total", REDIS), "misses")], "ops", stack=True),
            lines("Commands", "Commands that Redis processed, a second.", [(_rate("redis_commands_processed_total", REDIS, "instance"), "{{instance}}")],
                  "ops"),
            lines("Memory", "Used, and its limit where it has one.",
                  [(f"sum(redis_memory_used_bytes{{{REDIS}}})", "reached"), (f"sum(redis_memory_max_bytes{{{REDIS}}}) > 0", "limit")], "bytes"),
            lines("Clients", "Connected, and waiting in a blocking command.",
                  [(f"sum(redis_connected_clients{{{REDIS}}})", "open"), (f"sum(redis_blocked_clients{{{REDIS}}})", "waiting")], "short"),
            lines("Evictions", "Keys that Redis threw away for want of memory, and keys that expired, a second.",
                  [(_rate("redis_evicted_keys_total", REDIS), "evicted"), (_rate("redis_expired_keys_total", REDIS), "expired")], "ops"),
            lines("CPU", "Processor time that Redis uses, in cores; it has one.",
                  [(f"{_rate('redis_cpu_user_seconds_total', REDIS, 'instance')} + {_rate('redis_cpu_sys_seconds_total', REDIS, 'instance')}",
                    "{{instance}}")], "short"),
            section("PostgreSQL"),
            lines("Transactions", "A second.",
                  [(_rate("pg_stat_database_xact_commit", POSTGRES), "committed"), (_rate("pg_stat_database_xact_rollback", POSTGRES), "rolled back")], "ops"),
            lines("Connections", "Backends, and the most that there may be.",
                  [(f"sum(pg_stat_database_numbackends{{{POSTGRES}}})", "open"),
                   (f"sum(max by (instance) (pg_settings_max_connections{{{POSTGRES}}}))", "limit")], "short"),
            lines("Blocks", "Found in memory and read from disk, a second.",
                  [(_rate("pg_stat_database_blks_hit", POSTGRES), "hits"), (_rate("pg_stat_database_blks_read", POSTGRES), "misses")], "ops"),
            lines("Rows", "Fetched, inserted, updated and deleted, a second.",
                  [(_rate("pg_stat_database_tup_fetched", POSTGRES), "fetched"), (_rate("pg_stat_database_tup_inserted", POSTGRES), "inserted"),
                   (_rate("pg_stat_database_tup_updated", POSTGRES), "updated"), (_rate("pg_stat_database_tup_deleted", POSTGRES), "deleted")],
                  "ops"),
            lines("Locks", "Held or awaited, by mode.", [(f"sum by (mode) (pg_locks_count{{{POSTGRES}}}) > 0", "{{mode}}")], "short"),
            lines("Deadlocks", "A second.", [(_rate("pg_stat_database_deadlocks", POSTGRES), "deadlocks")], "ops", (6, 8)),
            lines("Temporary files", "Bytes that did not fit into memory, a second.",
                  [(_rate("pg_stat_database_temp_bytes", POSTGRES), "temporary files")], "Bps", (6, 8)),
            section("Before and after each phase"),
            table("What each phase added", "The target's own series at the phase's edges, what the phase added, and that for each request; a row for each "
                  "exporter and series, with its own labels (target_…).",
                  [(f"max without () ({q.select(f'load_target_{name}', q.PHASE)})", name.replace("_", " "))
                   for name in ("before", "after", "delta", "per_request")], "short", (24, 12), hide=(), sort="delta"),
        ],
        variables=servers(),
    )
