//! The driver against servers that write frames by hand.
