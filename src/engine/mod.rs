//! Workers, coordinator, pacer, virtual users.
