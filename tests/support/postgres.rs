//! PostgreSQL and its exporter. PostgreSQL refuses to run as root: as root it is started as `postgres`.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::http;
use super::process::{Service, directory, free_port};

/// Where Debian keeps PostgreSQL 15.
const BIN: &str = "/usr/lib/postgresql/15/bin";

/// A PostgreSQL server with a database `shop`, without autovacuum, so that only what the test does is counted.
pub struct Postgres {
    pub port: u16,
    _service: Service,
    _dir: tempfile::TempDir,
}

/// postgres_exporter, connected to the database `postgres`.
pub struct Exporter {
    pub port: u16,
    _service: Service,
    _dir: tempfile::TempDir,
}

/// A program of PostgreSQL's, as an ordinary user.
fn ordinary(program: &str) -> Command {
    let program = format!("{BIN}/{program}");
    // SAFETY: geteuid() has no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", &program]);
    command
}

impl Postgres {
    pub fn start() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let (port, dir) = (free_port(), directory());
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let data = dir.path().join("data");
        let made = ordinary("initdb")
            .args(["-U", "postgres", "-A", "trust", "--no-sync", "--no-instructions", "-D"])
            .arg(&data)
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let mut command = ordinary("postgres");
        command.arg("-D").arg(&data).args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k"]).arg(dir.path());
        command.args(["-c", "autovacuum=off", "-c", "fsync=off"]).current_dir(dir.path());
        // As many servers have it: it counts nothing in `pg_stat_database`.
        command.args(["-c", "shared_preload_libraries=pg_stat_statements"]);
        // SIGQUIT: at once, and its children too.
        let mut service = Service::start(&mut command, dir.path()).ends_by(libc::SIGQUIT);
        service.until(|| psql_at(port, "postgres", "SELECT 1").is_ok());
        let postgres = Self { port, _service: service, _dir: dir };
        postgres.psql("postgres", "CREATE DATABASE shop");
        postgres.psql("postgres", "CREATE EXTENSION pg_stat_statements");
        postgres
    }

    /// Runs statements, each a transaction of its own, on one connection; gives what they select.
    pub fn psql(&self, database: &str, statements: &str) -> String {
        psql_at(self.port, database, statements).unwrap_or_else(|error| panic!("{statements}: {error}"))
    }

    /// A connection that stays open, as those of a pool do.
    pub fn connect(&self, database: &str) -> Connection {
        let mut child = psql_command(self.port, database).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Connection { child, stdin, stdout }
    }

    /// A number of `pg_stat_database`, asked from the database `postgres`, so that asking isn't counted in another.
    pub fn statistic(&self, database: &str, column: &str) -> f64 {
        let query = format!("SELECT {column} FROM pg_stat_database WHERE datname = '{database}'");
        self.psql("postgres", &query).trim().parse().unwrap()
    }
}

/// A connection that stays open until it is dropped.
pub struct Connection {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Connection {
    /// Runs one statement that selects one line, and waits for it.
    pub fn line(&mut self, statement: &str) -> String {
        writeln!(self.stdin, "{statement};").unwrap();
        self.stdin.flush().unwrap();
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn psql_command(port: u16, database: &str) -> Command {
    let mut command = Command::new(Path::new(BIN).join("psql"));
    command.args([
        "-h",
        "127.0.0.1",
        "-p",
        &port.to_string(),
        "-U",
        "postgres",
        "-XqAt",
        "-v",
        "ON_ERROR_STOP=1",
        "-d",
        database,
    ]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// [`Postgres::psql`] at a server that somebody else started; what it said if it failed.
pub fn psql_at(port: u16, database: &str, statements: &str) -> Result<String, String> {
    // From its input each statement is a transaction; from -c all would be one.
    let mut child = psql_command(port, database).spawn().map_err(|error| error.to_string())?;
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{statements};").map_err(|error| error.to_string())?;
    drop(stdin);
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

impl Exporter {
    pub fn start(postgres: &Postgres) -> Self {
        let (port, dir) = (free_port(), directory());
        let mut command = Command::new("prometheus-postgres-exporter");
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let source = format!("postgresql://postgres@127.0.0.1:{}/postgres?sslmode=disable", postgres.port);
        command.env("DATA_SOURCE_NAME", source);
        let mut service = Service::start(&mut command, dir.path());
        service.until(|| http::get(port, "/metrics").is_some_and(|(_, page)| http::sample(&page, "pg_up") == Some(1.0)));
        Self { port, _service: service, _dir: dir }
    }
}
