//! A VictoriaMetrics that scrapes every second, where it is installed.

use std::process::Command;

use super::http;
use super::process::{Service, directory, free_port};

/// VictoriaMetrics.
pub struct VictoriaMetrics {
    pub port: u16,
    _service: Service,
    _dir: tempfile::TempDir,
}

impl VictoriaMetrics {
    /// Scrapes these ports of 127.0.0.1, each as a job of its own, and has answered for each of them. None, and a loud word: it isn't installed.
    #[allow(clippy::print_stderr, reason = "a test that isn't made has to say so")]
    pub fn start(jobs: &[(&str, u16)]) -> Option<Self> {
        if Command::new("victoria-metrics").arg("-version").output().is_err() {
            eprintln!(
                "SKIPPED: victoria-metrics isn't installed (Debian's package of this name), so it isn't tested whether it can be read"
            );
            return None;
        }
        let (port, dir) = (free_port(), directory());
        let mut config = "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n".to_owned();
        for (job, port) in jobs {
            config += &format!("  - {{job_name: {job}, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}\n");
        }
        let file = dir.path().join("scrape.yml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("victoria-metrics");
        command.arg(format!("-storageDataPath={}", dir.path().join("data").display()));
        command.arg(format!("-httpListenAddr=127.0.0.1:{port}"));
        command.arg(format!("-promscrape.config={}", file.display())).arg("-loggerLevel=ERROR");
        let mut service = Service::start(&mut command, dir.path());
        let scraped = |job: &str| {
            let query = format!("/api/v1/query?nocache=1&query=count_over_time(up%7Bjob%3D%22{job}%22%7D%5B1m%5D)%3E%3D2");
            http::get(port, &query).is_some_and(|(status, body)| status == 200 && body.contains(job))
        };
        service.until(|| jobs.iter().all(|(job, _)| scraped(job)));
        Some(Self { port, _service: service, _dir: dir })
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}
