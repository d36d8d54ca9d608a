//! SLOs and their judgement.
