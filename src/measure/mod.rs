//! Recorder, histograms, snapshots, and the catalogue of metric names.
