//! PgBouncer, as told by pgbouncer_exporter.

use std::time::Duration;

use super::{Formula, Metric, Preset, Term, Value};

/// `preset: pgbouncer`.
pub static PRESET: Preset = Preset {
    name: "pgbouncer",
    prefix: "pgbouncer_",
    metrics: &[
        Metric::gauge(&["pgbouncer_pools_client_active_connections"]),
        Metric::gauge(&["pgbouncer_pools_client_waiting_connections"]),
        Metric::gauge(&["pgbouncer_pools_server_active_connections"]),
        Metric::gauge(&["pgbouncer_pools_server_idle_connections"]),
        Metric::counter(&["pgbouncer_stats_queries_pooled_total"]),
        Metric::counter(&["pgbouncer_stats_sql_transactions_pooled_total"]),
        Metric::counter(&["pgbouncer_stats_client_wait_seconds_total"]),
    ],
    values: &[Value {
        name: "waiting_clients",
        formula: Formula::Level(Term::all("pgbouncer_pools_client_waiting_connections")),
    }],
    parts: &["database", "user"],
    // The exporter's own process_start_time_seconds says nothing of PgBouncer.
    starts: &[],
    late: (Duration::ZERO, Duration::ZERO),
    late_prefix: "pgbouncer_",
    own_effect: "pgbouncer_exporter asks PgBouncer's console (SHOW STATS, SHOW POOLS) at each scrape, as a client of the pool `pgbouncer`",
};
