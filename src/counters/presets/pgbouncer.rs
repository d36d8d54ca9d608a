//! PgBouncer, as pgbouncer_exporter reports it: since it reads SHOW STATS_TOTALS (after 0.10) its counters have a prefix of their own, and
//! before 0.4 those of times lacked `_total`.

use std::time::Duration;

use super::{Dialect, Formula, Metric, Preset, Term, Value};

/// `preset: pgbouncer`.
pub static PRESET: Preset = Preset {
    name: "pgbouncer",
    prefix: "pgbouncer_",
    up: Some("pgbouncer_up"),
    metrics: &[
        Metric::gauge(&["pgbouncer_pools_client_active_connections"]),
        Metric::gauge(&["pgbouncer_pools_client_waiting_connections"]),
        Metric::gauge(&["pgbouncer_pools_server_active_connections"]),
        Metric::gauge(&["pgbouncer_pools_server_idle_connections"]),
        Metric::gauge(&["pgbouncer_pools_client_maxwait_seconds"]).optional(),
        Metric::gauge(&["pgbouncer_config_max_client_connections"]).optional(),
        Metric::counter(&["pgbouncer_stats_totals_queries_pooled_total", "pgbouncer_stats_queries_pooled_total"]),
        Metric::counter(&[
            "pgbouncer_stats_totals_sql_transactions_pooled_total",
            "pgbouncer_stats_sql_transactions_pooled_total",
        ]),
        Metric::counter(&[
            "pgbouncer_stats_totals_client_wait_seconds_total",
            "pgbouncer_stats_client_wait_seconds_total",
            "pgbouncer_stats_client_wait_seconds",
        ]),
        Metric::counter(&[
            "pgbouncer_stats_totals_queries_duration_seconds_total",
            "pgbouncer_stats_queries_duration_seconds_total",
            "pgbouncer_stats_queries_duration_seconds",
        ])
        .optional(),
        Metric::counter(&[
            "pgbouncer_stats_totals_server_in_transaction_seconds_total",
            "pgbouncer_stats_server_in_transaction_seconds_total",
            "pgbouncer_stats_server_in_transaction_seconds",
        ])
        .optional(),
        Metric::counter(&["pgbouncer_stats_totals_received_bytes_total", "pgbouncer_stats_received_bytes_total"]).optional(),
        Metric::counter(&["pgbouncer_stats_totals_sent_bytes_total", "pgbouncer_stats_sent_bytes_total"]).optional(),
    ],
    further: &[],
    values: &[
        Value { name: "waiting_clients", formula: Formula::Level(Term::all("pgbouncer_pools_client_waiting_connections")) },
        Value { name: "queries", formula: Formula::Increase(Term::all("pgbouncer_stats_totals_queries_pooled_total")) },
        Value {
            name: "transactions",
            formula: Formula::Increase(Term::all("pgbouncer_stats_totals_sql_transactions_pooled_total")),
        },
        Value {
            name: "client_wait_seconds",
            formula: Formula::Increase(Term::all("pgbouncer_stats_totals_client_wait_seconds_total")),
        },
    ],
    parts: &["database", "user"],
    // The exporter's own process_start_time_seconds says nothing of PgBouncer.
    starts: &[],
    late: (Duration::ZERO, Duration::ZERO),
    late_prefix: "pgbouncer_",
    own_effect: "pgbouncer_exporter asks PgBouncer's console (SHOW STATS, SHOW POOLS) at each scrape, as a client of the pool `pgbouncer`",
    dialects: &[
        Dialect { exporter: "pgbouncer_exporter after 0.10", marker: "pgbouncer_stats_totals_client_wait_seconds_total" },
        Dialect { exporter: "pgbouncer_exporter 0.4 to 0.10", marker: "pgbouncer_stats_client_wait_seconds_total" },
        Dialect { exporter: "pgbouncer_exporter before 0.4", marker: "pgbouncer_stats_client_wait_seconds" },
    ],
};
