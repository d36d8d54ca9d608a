//! A stack for a test: `scripts/stack` in a temporary directory, gone with the test, or with the process if it is killed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The repository's `scripts/stack`.
pub fn script() -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/stack"))
}

/// Standard output and error as one text.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A running stack.
pub struct Stack {
    directory: tempfile::TempDir,
}

impl Stack {
    /// Starts the members named, with what else `arguments` say.
    pub fn up(arguments: &[&str]) -> Self {
        let stack = Self { directory: tempfile::tempdir().unwrap() };
        let process = std::process::id().to_string();
        let output = script().args(["up", "--while", &process, "--dir"]).arg(stack.path()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        stack
    }

    /// Where it lives.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("stack")
    }

    /// A variable of its `env` file.
    pub fn variable(&self, name: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.path().join("env")).unwrap();
        text.lines().find_map(|line| Some(line.strip_prefix("export ")?.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let output = script().args(["down", "--dir"]).arg(self.path()).output();
        if !std::thread::panicking() {
            assert!(output.as_ref().is_ok_and(|output| output.status.success()), "{output:?}");
        }
    }
}
