//! The driver against servers that do what a script says.
