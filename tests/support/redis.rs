//! Redis and its exporter.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Command;

use super::http;
use super::process::{Service, directory, free_port};

/// A Redis server without persistence.
pub struct Redis {
    pub port: u16,
    service: Service,
    _dir: tempfile::TempDir,
}

/// redis_exporter.
pub struct Exporter {
    pub port: u16,
    _service: Service,
    _dir: tempfile::TempDir,
}

impl Redis {
    pub fn start() -> Self {
        Self::start_on(free_port())
    }

    pub fn start_on(port: u16) -> Self {
        let dir = directory();
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.arg("--dir").arg(dir.path());
        let mut service = Service::start(&mut command, dir.path());
        service.until(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { port, service, _dir: dir }
    }

    /// Sends commands on one connection, a word list each, and gives the first line of each reply (of a bulk reply: its
    /// contents).
    pub fn send(&self, commands: &[&str]) -> Vec<String> {
        send(self.port, commands)
    }

    /// A number of INFO.
    pub fn info(&self, field: &str) -> f64 {
        info(self.port, field)
    }

    pub fn kill(&mut self) {
        self.service.kill();
    }
}

/// [`Redis::send`] to a server that somebody else started.
pub fn send(port: u16, commands: &[&str]) -> Vec<String> {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut replies = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    let mut got = Vec::new();
    for command in commands {
        write!(stream, "{command}\r\n").unwrap();
        got.push(reply(&mut replies));
    }
    got
}

/// [`Redis::info`] of a server that somebody else started.
pub fn info(port: u16, field: &str) -> f64 {
    let info = send(port, &["INFO"]).remove(0);
    let line = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {field} in INFO")).trim().parse().unwrap()
}

fn reply(replies: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    replies.read_line(&mut line).unwrap();
    let Some(length) = line.strip_prefix('$') else { return line.trim().to_owned() };
    let Ok(length) = length.trim().parse::<usize>() else { return String::new() };
    let mut bulk = vec![0; length + 2];
    std::io::Read::read_exact(replies, &mut bulk).unwrap();
    String::from_utf8(bulk).unwrap().trim_end().to_owned()
}

impl Exporter {
    pub fn start(redis: &Redis) -> Self {
        let (port, dir) = (free_port(), directory());
        let mut command = Command::new("prometheus-redis-exporter");
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        command.arg(format!("--redis.addr=redis://127.0.0.1:{}", redis.port));
        let mut service = Service::start(&mut command, dir.path());
        service.until(|| http::get(port, "/metrics").is_some_and(|(_, page)| http::sample(&page, "redis_up") == Some(1.0)));
        Self { port, _service: service, _dir: dir }
    }
}
