//! A stack for a test: `scripts/stack` in a temporary directory, gone with the test, or with the process if it is killed.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The repository's `scripts/stack`, from a package anywhere in it.
pub fn script() -> Command {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("scripts/stack"));
    Command::new(scripts.into_iter().find(|script| script.exists()).expect("the repository has scripts/stack"))
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
        Self::up_with(arguments, &[])
    }

    /// The same with variables, the backend's own among them.
    pub fn up_with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let stack = Self { directory: tempfile::tempdir().unwrap() };
        let process = std::process::id().to_string();
        let mut command = script();
        command.args(["up", "--while", &process, "--dir"]).arg(stack.path()).args(arguments);
        // Where the machine stands still for seconds, requests take long and none fails for it.
        command.env("POOL_WAIT", "60s").envs(variables.iter().copied());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        stack
    }

    /// Where it lives.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("stack")
    }

    /// The port in the URL (or the number) that a variable of its `env` file holds.
    pub fn port(&self, name: &str) -> u16 {
        let value = self.variable(name).unwrap_or_else(|| panic!("the stack has no {name}"));
        let address = value.split("://").last().and_then(|rest| rest.split('/').next()).unwrap_or_default();
        address.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or_else(|| panic!("{name}={value} has no port"))
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
