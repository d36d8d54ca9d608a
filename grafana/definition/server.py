"""Server: the target's Redis and PostgreSQL beside what users see."""

from . import promql as q
from .model import dashboard, lines, section, stat, table
from .soak import servers

REDIS, POSTGRES = 'instance=~"$redis"', 'instance=~"$postgres"'


def _rate(metric, matchers, by="", aggregate="sum"):
    return f"{aggregate}{q.grouped(by)} (rate({metric}{{{matchers}}}[{q.RATE}]))"


def _part(part, whole, matchers):
    return q.ratio(_rate(part, matchers), f"({_rate(part, matchers)} + {_rate(whole, matchers)})")


def build():
    """The dashboard."""
    hits = _part("redis_keyspace_hits_total", "redis_keyspace_misses_total", REDIS)
    memory = f"sum(redis_memory_used_bytes{{{REDIS}}}) / (sum(redis_memory_max_bytes{{{REDIS}}}) > 0)"
    pool = f"sum(pg_stat_database_numbackends{{{POSTGRES}}}) / sum(max by (instance) (pg_settings_max_connections{{{POSTGRES}}}))"
    cached = _part("pg_stat_database_blks_hit", "pg_stat_database_blks_read", POSTGRES)
    columns = "profile, phase, source, metric"
    return dashboard(
        "server", "Server", "Redis and PostgreSQL beside the client's latency, and what each phase cost them.",
        [
            stat("Cache hit ratio", "Reads that Redis could answer.", hits, "percentunit", (6, 4),
                 thresholds=[(None, "red"), (0.8, "yellow"), (0.9, "green")]),
            stat("Redis memory", "Of its limit; nothing where it has none.", memory, "percentunit", (6, 4),
                 thresholds=[(None, "green"), (0.6, "yellow"), (0.8, "red")]),
            stat("PostgreSQL connections", "Of its limit.", pool, "percentunit", (6, 4),
                 thresholds=[(None, "green"), (0.7, "yellow"), (0.9, "red")]),
            stat("PostgreSQL cache", "Blocks that it found in its own memory.", cached, "percentunit", (6, 4),
                 thresholds=[(None, "red"), (0.9, "yellow"), (0.99, "green")]),
            section("The client's latency"),
            lines("Response time", "What users see, to lay the curves below beside.",
                  [(q.quantile(p, "load_response_duration_seconds", extra='outcome!="error"'), f"p{p * 100:g}") for p in (0.5, 0.95, 0.99)], "s"),
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
                  [(_rate("redis_evicted_keys_total", REDIS), "dropped"), (_rate("redis_expired_keys_total", REDIS), "ok")], "ops"),
            lines("CPU", "Processor time that Redis uses, in cores; it has one.",
                  [(f"{_rate('redis_cpu_user_seconds_total', REDIS, 'instance')} + {_rate('redis_cpu_sys_seconds_total', REDIS, 'instance')}",
                    "{{instance}}")], "short"),
            section("PostgreSQL"),
            lines("Transactions", "A second.",
                  [(_rate("pg_stat_database_xact_commit", POSTGRES), "ok"), (_rate("pg_stat_database_xact_rollback", POSTGRES), "error")], "ops"),
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
            lines("Deadlocks and temporary files", "Deadlocks, and bytes of temporary files, a second.",
                  [(_rate("pg_stat_database_deadlocks", POSTGRES), "deadlocks"), (_rate("pg_stat_database_temp_bytes", POSTGRES), "temporary bytes")],
                  "short"),
            section("Before and after each phase"),
            table("What each phase added", "The target's own series at the phase's edges, what the phase added, and that for each request.",
                  [(f"max by ({columns}) ({q.select(f'load_target_{name}', q.PHASE)})", name.replace("_", " "))
                   for name in ("before", "after", "delta", "per_request")], "short", (24, 12), sort="delta"),
        ],
        variables=servers(),
    )
