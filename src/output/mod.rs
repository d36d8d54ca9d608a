//! What a person reads: progress, summary, HTML, JUnit.
