//! A process that ends with the test.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::net::TcpListener;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a service may take to be ready, on a machine that has much else to do.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// What [`free_port`] gives; all of five digits, so that a shorter one never leaves an old digit behind in its file. Those of
/// `scripts/stack` are below.
const PORTS: RangeInclusive<u16> = 30_000..=32_700;

/// A running service.
pub struct Service {
    name: String,
    child: Child,
    log: PathBuf,
    /// What asks it to end.
    signal: i32,
}

impl Service {
    /// Starts a program whose output goes to a file in `dir`.
    pub fn start(command: &mut Command, dir: &Path) -> Self {
        Self::start_with(command, dir, Stdio::null())
    }

    /// As [`Self::start`]; one whose input is piped can see that the test is gone.
    pub fn start_with(command: &mut Command, dir: &Path, input: Stdio) -> Self {
        let program = Path::new(command.get_program()).file_name().unwrap().to_string_lossy().into_owned();
        let log = dir.join(format!("{program}.log"));
        let file = File::create(&log).unwrap();
        command.stdin(input).stdout(file.try_clone().unwrap()).stderr(file);
        let child = command.spawn().unwrap_or_else(|error| panic!("{program} doesn't start ({error}); scripts/test installs it"));
        Self { name: program, child, log, signal: libc::SIGKILL }
    }

    /// Waits until `ready` says so; fails with the service's log if it ends before, or takes too long.
    pub fn until(&mut self, mut ready: impl FnMut() -> bool) {
        let deadline = Instant::now() + READY_WITHIN;
        while !ready() {
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() || Instant::now() > deadline {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                panic!("{} isn't ready (ended: {ended:?}):\n{log}", self.name);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// With another signal than SIGKILL to end it; if it doesn't follow within seconds, it is killed.
    pub fn ends_by(mut self, signal: i32) -> Self {
        self.signal = signal;
        self
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).unwrap();
        // SAFETY: kill() touches no memory; the process isn't reaped yet, so the number is still its own.
        unsafe { libc::kill(pid, signal) };
    }

    /// Ends it and waits until it has.
    pub fn kill(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        self.signal(self.signal);
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody listens at. They are handed out in turn to all tests of this machine, and below the range from which the
/// kernel gives ports to clients: so nobody else is given it before it is used.
pub fn free_port() -> u16 {
    let counter = std::env::temp_dir().join(format!("load-exporter-test-ports.{}", user()));
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(counter).unwrap();
    file.lock().unwrap();
    let mut last = String::new();
    file.read_to_string(&mut last).unwrap();
    let mut port = last.trim().parse().unwrap_or(*PORTS.end());
    loop {
        port = if PORTS.contains(&(port + 1)) { port + 1 } else { *PORTS.start() };
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            break;
        }
    }
    file.rewind().unwrap();
    write!(file, "{port}").unwrap();
    port
}

fn user() -> u32 {
    // SAFETY: it asks for a number, and can't fail.
    unsafe { libc::getuid() }
}

/// A directory that is gone after the test and that other users may enter.
pub fn directory() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}
