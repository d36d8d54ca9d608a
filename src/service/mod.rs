//! One run from plan to record, with its web surface.
