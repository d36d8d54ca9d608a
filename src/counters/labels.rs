//! Labels of series, and those that say whose a series is.

/// Labels of a series without its name, sorted.
pub type Labels = Vec<(String, String)>;

/// The label that holds a metric's name.
pub(super) const NAME: &str = "__name__";

/// The label that names the exporter which a system is read from directly.
pub const SOURCE: &str = "source";

/// The labels that a server gives to whatever it scrapes.
pub(super) const TARGET: [&str; 2] = ["instance", "job"];

/// The target that a series is of: its `job` and `instance`.
pub(super) fn target(labels: &Labels) -> (&str, &str) {
    (label(labels, "job"), label(labels, "instance"))
}

/// A label's value; a label that isn't there is empty.
pub(super) fn label<'a>(labels: &'a Labels, name: &str) -> &'a str {
    labels.iter().find(|(label, _)| label == name).map_or("", |(_, value)| value)
}
