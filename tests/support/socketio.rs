//! Real socket.io servers, installed from npm's registry once per target directory.

use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::process::{Service, directory, free_port};

/// A running server.
pub struct Server {
    pub port: u16,
    _service: Service,
    _dir: tempfile::TempDir,
}

impl Server {
    /// The server of this major version.
    pub fn start(version: u8) -> Self {
        Self::start_with(version, &[])
    }

    /// The same over TLS, with a certificate and its key in files.
    pub fn start_tls(version: u8, certificate: &Path, key: &Path) -> Self {
        Self::start_with(version, &[certificate, key])
    }

    fn start_with(version: u8, more: &[&Path]) -> Self {
        let (dir, port) = (directory(), free_port());
        let mut command = Command::new("node");
        command.current_dir(installed()).args(["server.js", &version.to_string(), &port.to_string()]).args(more);
        let mut service = Service::start_with(&mut command, dir.path(), Stdio::piped());
        service.until(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { port, _service: service, _dir: dir }
    }
}

/// The directory with the servers; installs them the first time, and again when their versions change.
fn installed() -> &'static Path {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/socketio");
        let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("socketio");
        std::fs::create_dir_all(&to).unwrap();
        let mut lock = String::new();
        for file in ["package.json", "package-lock.json", "server.js"] {
            let text = std::fs::read_to_string(from.join(file)).unwrap();
            std::fs::write(to.join(file), &text).unwrap();
            if file == "package-lock.json" {
                lock = text;
            }
        }
        let stamp = to.join("installed");
        if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == lock) {
            return to;
        }
        let mut npm = Command::new("npm");
        npm.current_dir(&to).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
        let output = npm.output().unwrap_or_else(|error| panic!("npm doesn't start ({error}); scripts/test installs it"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "npm could not install the socket.io servers; it needs its registry once:\n{said}");
        std::fs::File::create(&stamp).unwrap().write_all(lock.as_bytes()).unwrap();
        to
    })
}
