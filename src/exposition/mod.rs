//! Text, OpenMetrics and protobuf for /metrics.
