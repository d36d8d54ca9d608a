//! The monitoring stack as it is written: what its files say of each other holds, docker-compose and promtool accept them, and
//! what is generated is what its definition generates.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Value {
    serde_yaml::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

const COMPOSE: &str = "docker-compose.monitoring.yml";

fn compose() -> Value {
    yaml(COMPOSE)
}

fn run(program: &str, args: &[&str]) -> Output {
    let out = Command::new(program).args(args).current_dir(root()).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{program} {args:?}\n{said}");
    out
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn jobs(config: &Value) -> BTreeSet<(String, String)> {
    let jobs = config["scrape_configs"].as_array().unwrap().iter();
    jobs.map(|job| {
        let target = texts(&job["static_configs"][0]["targets"])[0].clone();
        (job["job_name"].as_str().unwrap().to_owned(), target)
    })
    .collect()
}

#[test]
fn docker_compose_accepts_it_with_and_without_the_example() {
    // Debian's docker-compose 1.29 doesn't know what is optional; all else it can check. Docker Compose, where there is one, checks all.
    let dir = tempfile::tempdir().unwrap();
    let known = dir.path().join("compose.yml");
    std::fs::write(&known, read(COMPOSE).replace(", required: false", "")).unwrap();
    let example = ["--profile", "example"];
    for profile in [&[][..], &example] {
        let of = |file: &str| [&["-f", file, "--project-directory", "."], profile, &["config", "-q"]].concat().join(" ");
        run("docker-compose", &of(known.to_str().unwrap()).split(' ').collect::<Vec<_>>());
        if Command::new("docker").args(["compose", "version"]).output().is_ok_and(|out| out.status.success()) {
            run("docker", &format!("compose {}", of(COMPOSE)).split(' ').collect::<Vec<_>>());
        }
    }
    let compose = compose();
    let services = compose["services"].as_object().unwrap();
    let example: BTreeSet<&String> =
        services.iter().filter(|(_, service)| texts(&service["profiles"]) == ["example"]).map(|(name, _)| name).collect();
    assert_eq!(example.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["backend", "postgres", "redis"]);
    let own: BTreeSet<&String> = services.keys().filter(|name| !example.contains(name)).collect();
    // Nothing that stays may wait for what was left out.
    for (name, service) in services {
        for (needed, how) in service["depends_on"].as_object().into_iter().flatten() {
            assert!(!own.contains(name) || own.contains(needed) || how["required"] == false, "{name} waits for {needed}");
            assert_eq!(how["condition"], "service_healthy", "{name} waits for {needed}");
        }
    }
    assert_eq!(
        services["load-exporter"]["depends_on"]["backend"]["required"], false,
        "it waits for a backend where there is one"
    );
}

#[test]
fn services_are_pinned_healthy_and_on_the_loopback() {
    let compose = compose();
    for (name, service) in compose["services"].as_object().unwrap() {
        let built = service["build"].is_object();
        let image = service["image"].as_str().unwrap();
        assert!(built || image.contains(':') && !image.ends_with(":latest"), "{name}: {image} is not pinned");
        assert!(built || service["healthcheck"]["test"].is_array(), "{name} has no health check");
        assert_eq!((&service["read_only"], &service["cap_drop"][0]), (&true.into(), &"ALL".into()), "{name}");
        assert_eq!(service["security_opt"][0], "no-new-privileges:true", "{name}");
        assert!(service["mem_limit"].is_string() && service["cap_add"].is_null() && service["privileged"].is_null(), "{name}");
        for port in texts(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port} is open to the network");
        }
        for volume in texts(&service["volumes"]) {
            // Defaults of variables that hold a path: `${PROFILES:-./config}:/profiles:ro`.
            let source = volume.strip_prefix("${").map_or(volume.as_str(), |rest| rest.split_once(":-").unwrap().1);
            let source = source.split([':', '}']).next().unwrap();
            match source.strip_prefix("./") {
                Some(path) => assert!(root().join(path).exists(), "{name} mounts {path}, which isn't there"),
                None if source.starts_with('/') => {}
                None => assert!(compose["volumes"].get(source).is_some(), "{name}: no volume {source}"),
            }
        }
    }
}

#[test]
fn the_image_holds_what_compose_starts() {
    let dockerfile = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
    let compose = compose();
    for (service, port) in [("load-exporter", "10797"), ("backend", "8080")] {
        let target = compose["services"][service]["build"]["target"].as_str().unwrap();
        let stage = dockerfile.split(&format!(" AS {target}\n")).nth(1).unwrap_or_else(|| panic!("no stage {target}"));
        let stage = stage.split("\nFROM ").next().unwrap();
        for wanted in ["USER load", "HEALTHCHECK", &format!("EXPOSE {port}")] {
            assert!(stage.contains(wanted), "{target}: no {wanted}");
        }
        let check = stage.lines().find(|line| line.starts_with("HEALTHCHECK")).unwrap();
        assert!(check.contains("127.0.0.1") && check.contains(port), "{target}: {check}");
        assert!(texts(&compose["services"][service]["ports"])[0].ends_with(&format!(":{port}")));
    }
    for label in ["title", "description", "version", "revision", "created", "licenses"] {
        assert!(dockerfile.contains(&format!("org.opencontainers.image.{label}=")), "no label {label}");
    }
    assert!(dockerfile.contains(&format!("VERSION={} ", env!("CARGO_PKG_VERSION"))), "the version's label is another");
    let toolchain = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let wanted = toolchain.lines().find_map(|line| line.strip_prefix("rust-version = \"")).unwrap().trim_end_matches('"');
    let version = dockerfile.split("FROM rust:").nth(1).unwrap().split('-').next().unwrap();
    let minor = |version: &str| version.split('.').nth(1).unwrap().parse::<u32>().unwrap();
    assert!(minor(version) >= minor(wanted), "the image's Rust {version} is older than {wanted}");
    // The profile that is loaded by default can be read inside, and takes what compose sets.
    let profile = std::fs::read_to_string(root().join("config/votes.yml")).unwrap();
    let environment = compose["services"]["load-exporter"]["environment"].as_object().unwrap();
    for name in environment.keys().filter(|name| *name != "TARGET_URL") {
        assert!(profile.contains(&format!("${{{name}:-")), "config/votes.yml has no {name}");
    }
}

#[test]
fn prometheus_scrapes_what_there_is() {
    let compose = compose();
    let config = yaml("config/prometheus/compose.yml");
    let services = compose["services"].as_object().unwrap();
    for (job, target) in jobs(&config) {
        let (host, port) = target.split_once(':').unwrap();
        assert!(host == "127.0.0.1" || services.contains_key(host), "{job}: no service {host}");
        let known = [("load-exporter", "10797"), ("backend", "8080"), ("redis-exporter", "9121"), ("postgres-exporter", "9187")];
        if let Some((_, wanted)) = known.iter().find(|(service, _)| *service == host) {
            assert_eq!(port, *wanted, "{job}");
        }
    }
    // Dashboards and rules name jobs; a Prometheus beside load-exporter has the same ones.
    let of = |config: &Value| jobs(config).into_iter().map(|(job, _)| job).collect::<BTreeSet<_>>();
    let host = of(&yaml("config/prometheus/prometheus.yml"));
    assert!(host.is_subset(&of(&config)), "{host:?}");
    let alertmanager = texts(&config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"])[0].clone();
    assert!(services.contains_key(alertmanager.split(':').next().unwrap()));
    assert_eq!(config["global"]["scrape_native_histograms"], true);
    assert_eq!(config["global"]["always_scrape_classic_histograms"], true);
    let mounted = texts(&compose["services"]["prometheus"]["volumes"]);
    let rules = texts(&config["rule_files"])[0].rsplit_once('/').unwrap().0.to_owned();
    assert!(mounted.iter().any(|volume| volume.contains(&format!(":{rules}:"))), "{rules} is not mounted");
}

#[test]
fn grafana_finds_its_dashboards_and_its_data_source() {
    let compose = compose();
    let mounted = texts(&compose["services"]["grafana"]["volumes"]);
    // Prometheus evaluates the alerts, so Grafana doesn't.
    assert!(
        !mounted.iter().any(|volume| volume.contains("alerting") || volume.starts_with("./grafana/provisioning:")),
        "{mounted:?}"
    );
    let provider = yaml("grafana/provisioning/dashboards/load-exporter.yml");
    let path = provider["providers"][0]["options"]["path"].as_str().unwrap();
    assert!(mounted.contains(&format!("./grafana/dashboards:{path}:ro")));
    let home = compose["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].as_str().unwrap();
    let home = home.strip_prefix(&format!("{path}/")).unwrap();
    assert!(root().join("grafana/dashboards").join(home).exists());
    let source = yaml("grafana/provisioning/datasources/prometheus.yml");
    let uid = source["datasources"][0]["uid"].as_str().unwrap();
    assert_eq!(source["datasources"][0]["url"], "http://prometheus:9090");
    let alerts = yaml("grafana/provisioning/alerting/rules.yml");
    for rule in alerts["groups"][0]["rules"].as_array().unwrap() {
        assert_eq!(rule["data"][0]["datasourceUid"], uid, "{}", rule["title"]);
        assert!(rule["uid"].as_str().unwrap().len() <= 40);
    }
}

#[test]
fn promtool_accepts_configuration_and_rules_and_each_alert_fires_when_it_should() {
    run("promtool", &["check", "rules", "config/prometheus/rules/recording.yml", "config/prometheus/rules/alerts.yml"]);
    run("promtool", &["check", "config", "config/prometheus/prometheus.yml"]);
    // 2.42 doesn't know the two keys that switch native histograms on in 3.8; all else it can check.
    let text = std::fs::read_to_string(root().join("config/prometheus/compose.yml")).unwrap();
    let known: String = text
        .lines()
        .filter(|line| !line.contains("_native_histograms:") && !line.contains("_classic_histograms:"))
        .fold(String::new(), |text, line| text + line + "\n");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("prometheus.yml");
    std::fs::write(&path, known).unwrap();
    run("promtool", &["check", "config", "--syntax-only", path.to_str().unwrap()]);
    run("promtool", &["test", "rules", "config/prometheus/tests/alerts.yml", "config/prometheus/tests/scenarios.yml"]);
}

/// What the rules of every profile and those of a profile's own SLOs say of each alert: its name, and its annotations.
fn annotations() -> Vec<(String, Value)> {
    let own = Command::new(env!("CARGO_BIN_EXE_load-exporter"))
        .args(["rules", "config/votes.yml"])
        .current_dir(root())
        .output()
        .unwrap();
    let own: Value = serde_yaml::from_slice(&own.stdout).unwrap();
    let files = [yaml("config/prometheus/rules/alerts.yml"), own];
    let rules =
        files.iter().flat_map(|file| file["groups"].as_array().unwrap()).flat_map(|group| group["rules"].as_array().unwrap());
    rules.filter_map(|rule| Some((rule["alert"].as_str()?.to_owned(), rule["annotations"].clone()))).collect()
}

/// A container's own network is not the machine's, and nothing must be shown as if it were.
#[test]
fn the_machines_network_is_reported_by_who_shares_it() {
    let node = &compose()["services"]["node-exporter"];
    let command = texts(&node["command"]);
    let collectors = ["arp", "netclass", "netdev", "netstat", "sockstat", "udp_queues"]
        .into_iter()
        .filter(|collector| !command.contains(&format!("--no-collector.{collector}")));
    assert!(node["network_mode"] == "host" || collectors.count() == 0, "{command:?}");
}

#[test]
fn every_alert_has_a_section_of_the_runbooks_and_a_dashboard() {
    let runbooks = read("docs/runbooks.md");
    let sections: BTreeSet<String> = runbooks.lines().filter_map(|line| line.strip_prefix("## ")).map(str::to_owned).collect();
    let dashboards: Vec<Value> = std::fs::read_dir(root().join("grafana/dashboards"))
        .unwrap()
        .map(|entry| serde_json::from_str(&std::fs::read_to_string(entry.unwrap().path()).unwrap()).unwrap())
        .collect();
    let annotations = annotations();
    for (name, of) in &annotations {
        assert!(sections.contains(name), "docs/runbooks.md has no section {name}");
        assert_eq!(of["runbook_url"], format!("docs/runbooks.md#{}", name.to_lowercase()), "{name}");
        let (place, variables) = of["dashboard"].as_str().unwrap().split_once("/d/").unwrap();
        assert_eq!(place, "http://127.0.0.1:3000", "{name}");
        let uid = variables.split('?').next().unwrap();
        assert!(dashboards.iter().any(|dashboard| dashboard["uid"] == uid), "{name}: no dashboard {uid}");
        for text in ["summary", "description"] {
            assert!(of[text].as_str().is_some_and(|text| text.len() > 20), "{name} has no {text}");
        }
    }
    let alerts: BTreeSet<String> = annotations.into_iter().map(|(name, _)| name).collect();
    assert_eq!(sections, alerts, "a section for each alert, and for no other");
    // What the Alertmanager names is there.
    let names = regex::Regex::new(r"Load\w+").unwrap();
    for name in names.find_iter(&read("config/alertmanager/alertmanager.yml")) {
        let name = name.as_str();
        assert!(alerts.iter().any(|alert| alert == name || name == "LoadSlo" || name == "Load"), "there is no alert {name}");
    }
}

#[test]
fn every_alert_has_a_test() {
    let alerts = yaml("config/prometheus/rules/alerts.yml");
    let tests = yaml("config/prometheus/tests/alerts.yml");
    let mut fires = BTreeSet::new();
    let mut keeps_still = BTreeSet::new();
    for case in tests["tests"].as_array().unwrap().iter().flat_map(|test| test["alert_rule_test"].as_array().unwrap()) {
        let name = case["alertname"].as_str().unwrap().to_owned();
        if case["exp_alerts"].as_array().unwrap().is_empty() {
            keeps_still.insert(name)
        } else {
            fires.insert(name)
        };
    }
    for rule in alerts["groups"][0]["rules"].as_array().unwrap() {
        let name = rule["alert"].as_str().unwrap();
        assert!(fires.contains(name), "{name} is never seen to fire");
        assert!(keeps_still.contains(name), "{name} is never seen to be still");
    }
}

#[test]
fn what_is_generated_is_what_its_definition_generates() {
    run("python3", &["grafana/generate", "--check"]);
}
