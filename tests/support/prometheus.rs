//! A Prometheus server that scrapes every second.

use std::process::Command;

use super::http;
use super::process::{Service, directory, free_port};

/// Prometheus.
pub struct Prometheus {
    pub port: u16,
    service: Service,
    _dir: tempfile::TempDir,
}

impl Prometheus {
    /// Scrapes these ports of 127.0.0.1, each as a job of its own, and has scraped each of them twice.
    pub fn start(jobs: &[(&str, u16)]) -> Self {
        Self::start_with(jobs, &[])
    }

    /// With further arguments.
    pub fn start_with(jobs: &[(&str, u16)], arguments: &[&str]) -> Self {
        Self::start_every(&jobs.iter().map(|(job, port)| (*job, *port, 1)).collect::<Vec<_>>(), arguments)
    }

    /// Each job at an interval of its own, in seconds.
    pub fn start_every(jobs: &[(&str, u16, u32)], arguments: &[&str]) -> Self {
        let (port, dir) = (free_port(), directory());
        let mut config = "global: {scrape_timeout: 1s}\nscrape_configs:\n".to_owned();
        for (job, port, every) in jobs {
            let targets = format!("static_configs: [{{targets: ['127.0.0.1:{port}']}}]");
            config += &format!("  - {{job_name: {job}, scrape_interval: {every}s, {targets}}}\n");
        }
        let file = dir.path().join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).args(arguments);
        let mut service = Service::start(&mut command, dir.path());
        // One that answers has to be this one: another may have taken the port meanwhile.
        let scraped = |job: &str| {
            let query = format!("/api/v1/query?query=count_over_time(up%7Bjob%3D%22{job}%22%7D%5B1m%5D)%3E%3D2");
            http::get(port, &query).is_some_and(|(status, body)| status == 200 && body.contains(job))
        };
        service.until(|| jobs.iter().all(|(job, ..)| scraped(job)));
        Self { port, service, _dir: dir }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Stops it for a while, say.
    pub fn signal(&self, signal: i32) {
        self.service.signal(signal);
    }

    pub fn kill(&mut self) {
        self.service.kill();
    }
}
