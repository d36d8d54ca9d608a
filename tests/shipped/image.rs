//! What the image runs beside the program: its health check, against the program itself.

use std::process::Command;

use crate::support::program::Bench;
use crate::support::tls::Authority;

const PROFILE: &str = "
name: a
defaults: {http: {base_url: builtin}}
scenarios: {a: {flow: [{http: {get: /, name: home}}]}}
phases: [{name: one, duration: 10m, drain: 1s, load: {a: {rate: 1/s, max_users: 2}}}]
";

/// The command of the Dockerfile, for another port.
fn healthy(port: u16) -> bool {
    let dockerfile = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Dockerfile")).unwrap();
    let checks = dockerfile.lines().filter_map(|line| line.strip_prefix("HEALTHCHECK ")?.split_once("CMD "));
    let command = checks.map(|(_, command)| command).find(|command| command.contains("10797")).unwrap();
    let command: Vec<String> = serde_json::from_str(&command.replace("10797", &port.to_string())).unwrap();
    let mut check = Command::new(&command[0]);
    check.args(&command[1..]).stderr(std::process::Stdio::null());
    check.status().unwrap().success()
}

#[test]
fn the_health_check_holds_whatever_the_web_config_asks_for() {
    let bench = Bench::new();
    bench.file("a.yml", PROFILE);
    let authority = Authority::new(bench.path(), "authority");
    authority.certify("server");
    let hash = bcrypt::hash("test-password", 4).unwrap();
    let tls = "cert_file: server.pem, key_file: server.key";
    for config in [
        String::new(),
        format!("basic_auth_users: {{prometheus: \"{hash}\"}}\n"),
        format!("tls_server_config: {{{tls}}}\n"),
        format!("tls_server_config: {{{tls}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: authority.pem}}\n"),
    ] {
        bench.file("web.yml", &config);
        let arguments: &[&str] = if config.is_empty() { &["a.yml"] } else { &["--web.config.file=web.yml", "a.yml"] };
        let mut daemon = bench.serve(arguments);
        daemon.until(&format!("health with {config}"), |daemon| healthy(daemon.port).then_some(()));
        // One that stands still takes connections and answers nothing.
        daemon.signal(libc::SIGSTOP);
        assert!(!healthy(daemon.port), "{config}");
        daemon.signal(libc::SIGCONT);
        let port = daemon.port;
        assert_eq!(daemon.stop().code, Some(0));
        assert!(!healthy(port), "it has ended: {config}");
    }
}
