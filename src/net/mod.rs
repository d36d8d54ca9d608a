//! DNS, dialling, TLS, and a small HTTP client for the program's own questions.
