//! A machine, as node_exporter reports it.

use std::time::Duration;

use super::{Dialect, Formula, Metric, Preset, Start, Term, Value};

/// `preset: node`.
pub static PRESET: Preset = Preset {
    name: "node",
    prefix: "node_",
    up: None,
    metrics: &[
        // The second name of each is that of node_exporter before 0.16.
        Metric::counter(&["node_cpu_seconds_total", "node_cpu"]),
        Metric::counter(&["node_context_switches_total", "node_context_switches"]),
        Metric::gauge(&["node_load1"]),
        Metric::gauge(&["node_memory_MemAvailable_bytes", "node_memory_MemAvailable"]),
        Metric::gauge(&["node_memory_MemTotal_bytes", "node_memory_MemTotal"]),
        Metric::counter(&["node_disk_read_bytes_total", "node_disk_bytes_read"]),
        Metric::counter(&["node_disk_written_bytes_total", "node_disk_bytes_written"]),
        Metric::counter(&["node_network_receive_bytes_total", "node_network_receive_bytes"]),
        Metric::counter(&["node_network_transmit_bytes_total", "node_network_transmit_bytes"]),
        // Pressure (PSI): which of them the kernel knows depends on its version and its options.
        Metric::counter(&["node_pressure_cpu_waiting_seconds_total"]).optional(),
        Metric::counter(&["node_pressure_io_waiting_seconds_total"]).optional(),
        Metric::counter(&["node_pressure_io_stalled_seconds_total"]).optional(),
        Metric::counter(&["node_pressure_memory_waiting_seconds_total"]).optional(),
        Metric::counter(&["node_pressure_memory_stalled_seconds_total"]).optional(),
    ],
    further: &[],
    values: &[
        Value {
            name: "cpu_used_ratio",
            formula: Formula::IncreaseRest(
                Term { metric: "node_cpu_seconds_total", only: &[("mode", "idle")] },
                &[Term::all("node_cpu_seconds_total")],
            ),
        },
        Value {
            name: "memory_used_ratio",
            formula: Formula::LevelRest(Term::all("node_memory_MemAvailable_bytes"), &[Term::all("node_memory_MemTotal_bytes")]),
        },
    ],
    parts: &["cpu", "mode", "device"],
    starts: &[Start { metric: "node_boot_time_seconds", prefix: "node_", jitter: 2.0 }],
    late: (Duration::ZERO, Duration::ZERO),
    late_prefix: "node_",
    own_effect: "node_exporter spends some milliseconds of CPU time at each scrape",
    dialects: &[
        Dialect { exporter: "node_exporter 0.16 and later", marker: "node_cpu_seconds_total" },
        Dialect { exporter: "node_exporter before 0.16", marker: "node_cpu" },
    ],
};
