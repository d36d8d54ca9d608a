//! `scripts/stack` itself: everything answers, and nothing stays behind, whichever way it ends.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Stack, said, script};

/// Waits until `done` holds.
fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "{what}: not within 30 s");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn fetch(url: &str) -> String {
    let output = Command::new("curl").args(["--silent", "--max-time", "5", url]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn prometheus_sees_the_exporters_and_the_backend() {
    let stack = Stack::up(&["--native"]);
    let status = script().args(["status", "--dir"]).arg(stack.path()).output().unwrap();
    assert!(status.status.success(), "{}", said(&status));
    for server in ["PROMETHEUS_URL", "PROMETHEUS_NATIVE_URL"] {
        let url = format!("{}/api/v1/query?query=sum(up)", stack.variable(server).unwrap());
        // Redis' exporter, PostgreSQL's, the machine's, the backend; load-exporter itself isn't there.
        eventually(server, || fetch(&url).contains(",\"4\"]"));
    }
    let redis = fetch(&stack.variable("REDIS_EXPORTER_URL").unwrap());
    assert!(redis.contains("redis_keyspace_hits_total") && redis.contains("maxmemory_policy=\"volatile-lru\""), "{redis}");
    let postgres = fetch(&stack.variable("POSTGRES_EXPORTER_URL").unwrap());
    assert!(postgres.contains("pg_stat_database_xact_commit") && postgres.contains("pg_settings_max_connections"));
    assert!(fetch(&format!("{}/metrics", stack.variable("BASE_URL").unwrap())).contains("db_pool_max_connections 20"));

    let again = script().args(["up", "--dir"]).arg(stack.path()).output().unwrap();
    assert!(!again.status.success() && said(&again).contains("in use"), "{}", said(&again));
}

#[test]
fn a_start_that_fails_leaves_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("stack");
    let output = script().env("BACKEND_BIN", "/bin/false").args(["up", "--dir"]).arg(&directory).output().unwrap();
    assert!(!output.status.success());
    assert!(said(&output).contains("backend ended"), "{}", said(&output));
    assert!(!directory.exists());
    assert_eq!(processes_of(&directory), "");
}

#[test]
fn it_goes_down_with_the_process_that_wanted_it() {
    let mut wanted_by = Command::new("sleep").arg("600").stdout(Stdio::null()).spawn().unwrap();
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("stack");
    let process = wanted_by.id().to_string();
    let output =
        script().args(["up", "--only", "redis,postgres", "--while", &process, "--dir"]).arg(&directory).output().unwrap();
    let up = directory.join("env").exists();
    wanted_by.kill().unwrap();
    wanted_by.wait().unwrap();
    assert!(output.status.success() && up, "{}", said(&output));
    eventually("down", || !directory.exists());
    // The script that removed it ends a moment later.
    eventually("its processes", || processes_of(&directory).is_empty());
}

/// Command lines of processes that name `directory`.
fn processes_of(directory: &std::path::Path) -> String {
    let name = directory.to_str().unwrap();
    let commands =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("cmdline")).ok());
    commands.filter(|command| command.contains(name)).collect()
}
