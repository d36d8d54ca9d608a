//! Redis, as redis_exporter reports it (the same names from 1.0 to 1.88).

use std::time::Duration;

use super::{Dialect, Formula, Metric, Preset, Start, Term, Value};

/// `preset: redis`.
pub static PRESET: Preset = Preset {
    name: "redis",
    prefix: "redis_",
    up: Some("redis_up"),
    metrics: &[
        Metric::counter(&["redis_commands_processed_total"]),
        Metric::counter(&["redis_connections_received_total"]),
        Metric::counter(&["redis_rejected_connections_total"]),
        Metric::counter(&["redis_keyspace_hits_total"]),
        Metric::counter(&["redis_keyspace_misses_total"]),
        Metric::counter(&["redis_expired_keys_total"]),
        Metric::counter(&["redis_evicted_keys_total"]),
        Metric::counter(&["redis_net_input_bytes_total"]),
        Metric::counter(&["redis_net_output_bytes_total"]),
        // The second name of each is that of redis_exporter 0.x.
        Metric::counter(&["redis_cpu_sys_seconds_total", "redis_used_cpu_sys"]),
        Metric::counter(&["redis_cpu_user_seconds_total", "redis_used_cpu_user"]),
        Metric::gauge(&["redis_connected_clients"]),
        Metric::gauge(&["redis_blocked_clients"]),
        Metric::gauge(&["redis_memory_used_bytes", "redis_used_memory_bytes"]),
        Metric::gauge(&["redis_memory_used_rss_bytes", "redis_used_memory_rss_bytes"]),
        Metric::gauge(&["redis_memory_max_bytes", "redis_config_maxmemory"]),
    ],
    further: &[
        "redis_commands_total",
        "redis_commands_duration_seconds_total",
        "redis_commands_failed_calls_total",
        "redis_commands_rejected_calls_total",
        "redis_errors_total",
    ],
    values: &[
        Value {
            name: "hit_ratio",
            formula: Formula::IncreaseRatio(
                Term::all("redis_keyspace_hits_total"),
                &[Term::all("redis_keyspace_hits_total"), Term::all("redis_keyspace_misses_total")],
            ),
        },
        Value {
            name: "memory_used_ratio",
            formula: Formula::LevelRatio(Term::all("redis_memory_used_bytes"), &[Term::all("redis_memory_max_bytes")]),
        },
        Value { name: "connected_clients", formula: Formula::Level(Term::all("redis_connected_clients")) },
        Value { name: "blocked_clients", formula: Formula::Level(Term::all("redis_blocked_clients")) },
        Value { name: "commands", formula: Formula::Increase(Term::all("redis_commands_processed_total")) },
        Value { name: "evicted_keys", formula: Formula::Increase(Term::all("redis_evicted_keys_total")) },
        Value { name: "rejected_connections", formula: Formula::Increase(Term::all("redis_rejected_connections_total")) },
    ],
    parts: &["db", "cmd"],
    // redis_exporter calculates it from the uptime in whole seconds.
    starts: &[Start { metric: "redis_start_time_seconds", prefix: "redis_", jitter: 2.0 }],
    late: (Duration::ZERO, Duration::ZERO),
    late_prefix: "redis_",
    own_effect: "redis_exporter opens a connection and sends about six commands (CLIENT SETNAME, CONFIG GET, INFO, LATENCY, \
                 SLOWLOG) at each scrape; Redis counts them in commands, connections and bytes",
    dialects: &[
        Dialect { exporter: "redis_exporter 1.x", marker: "redis_cpu_sys_seconds_total" },
        Dialect { exporter: "redis_exporter 0.x", marker: "redis_used_cpu_sys" },
    ],
};
