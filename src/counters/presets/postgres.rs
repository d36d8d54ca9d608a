//! PostgreSQL, as postgres_exporter (0.8 to 0.20) reports it.
//!
//! Its counters lack `_total`, which an exporter that answers in OpenMetrics would add; up to 0.12 they carry a label
//! `server`. A backend of PostgreSQL 15 and later hands in its statistics at most once a second, an idle one up to 10 s after its last
//! transaction (`PGSTAT_MIN_INTERVAL`, `PGSTAT_IDLE_INTERVAL`). One of 15.18 was seen to keep the rest for minutes, where its first
//! transaction came more than a second after it was connected, and to hand it in at its end. Nobody but PostgreSQL knows of those.

use std::time::Duration;

use super::{Dialect, Formula, Metric, Preset, Start, Term, Value};

/// `preset: postgres`.
pub static PRESET: Preset = Preset {
    name: "postgres",
    prefix: "pg_",
    up: Some("pg_up"),
    metrics: &[
        Metric::counter(&["pg_stat_database_xact_commit", "pg_stat_database_xact_commit_total"]),
        Metric::counter(&["pg_stat_database_xact_rollback", "pg_stat_database_xact_rollback_total"]),
        Metric::counter(&["pg_stat_database_blks_read", "pg_stat_database_blks_read_total"]),
        Metric::counter(&["pg_stat_database_blks_hit", "pg_stat_database_blks_hit_total"]),
        Metric::counter(&["pg_stat_database_tup_returned", "pg_stat_database_tup_returned_total"]),
        Metric::counter(&["pg_stat_database_tup_fetched", "pg_stat_database_tup_fetched_total"]),
        Metric::counter(&["pg_stat_database_tup_inserted", "pg_stat_database_tup_inserted_total"]),
        Metric::counter(&["pg_stat_database_tup_updated", "pg_stat_database_tup_updated_total"]),
        Metric::counter(&["pg_stat_database_tup_deleted", "pg_stat_database_tup_deleted_total"]),
        Metric::counter(&["pg_stat_database_conflicts", "pg_stat_database_conflicts_total"]),
        Metric::counter(&["pg_stat_database_deadlocks", "pg_stat_database_deadlocks_total"]),
        Metric::counter(&["pg_stat_database_temp_files", "pg_stat_database_temp_files_total"]),
        Metric::counter(&["pg_stat_database_temp_bytes", "pg_stat_database_temp_bytes_total"]),
        // PostgreSQL 14 and later, and as many versions of the exporter.
        Metric::counter(&["pg_stat_database_active_time_seconds_total"]).optional(),
        Metric::gauge(&["pg_stat_database_numbackends"]),
        Metric::gauge(&["pg_settings_max_connections"]),
    ],
    further: &[
        "pg_stat_database_blk_read_time",
        "pg_stat_database_blk_write_time",
        "pg_stat_bgwriter_checkpoints_timed_total",
        "pg_stat_bgwriter_checkpoints_req_total",
    ],
    values: &[
        Value {
            name: "connections_used_ratio",
            formula: Formula::LevelRatio(Term::all("pg_stat_database_numbackends"), &[Term::all("pg_settings_max_connections")]),
        },
        Value {
            name: "cache_hit_ratio",
            formula: Formula::IncreaseRatio(
                Term::all("pg_stat_database_blks_hit"),
                &[Term::all("pg_stat_database_blks_hit"), Term::all("pg_stat_database_blks_read")],
            ),
        },
        Value { name: "commits", formula: Formula::Increase(Term::all("pg_stat_database_xact_commit")) },
        Value { name: "rollbacks", formula: Formula::Increase(Term::all("pg_stat_database_xact_rollback")) },
        Value { name: "blocks_read", formula: Formula::Increase(Term::all("pg_stat_database_blks_read")) },
        Value { name: "deadlocks", formula: Formula::Increase(Term::all("pg_stat_database_deadlocks")) },
        Value { name: "temp_bytes", formula: Formula::Increase(Term::all("pg_stat_database_temp_bytes")) },
    ],
    parts: &["datid", "datname"],
    // Statistics survive a restart of the server, so only their own reset time shows a reset.
    starts: &[Start { metric: "pg_stat_database_stats_reset", prefix: "pg_stat_database_", jitter: 0.001 }],
    late: (Duration::from_secs(11), Duration::from_secs(1)),
    late_prefix: "pg_stat_database_",
    own_effect: "postgres_exporter keeps a connection and commits about a dozen transactions at each scrape, whoever scrapes it, in \
                 the database that it is connected to (named by its DATA_SOURCE_NAME); PostgreSQL counts them there together with \
                 others', and late, so that in the commits, blocks and rows of that database its share isn't known to the unit; \
                 those of other databases hold none of it",
    dialects: &[
        Dialect { exporter: "postgres_exporter (0.8 to 0.20)", marker: "pg_stat_database_xact_commit" },
        Dialect { exporter: "a postgres_exporter that answers in OpenMetrics", marker: "pg_stat_database_xact_commit_total" },
    ],
};
