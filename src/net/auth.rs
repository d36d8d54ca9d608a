//! Who the program says it is when it asks questions of its own: a token, or a user and a password, written down or in a file.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::base::files::plain;

/// The longest file that can hold a secret, in bytes.
const LONGEST: u64 = 64 * 1024;

/// A text that is never printed.
#[derive(Clone, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the wire.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// Here.
    Here(Secret),
    /// In a file, which is read for each request: whoever changes it needn't say so.
    File {
        /// The profile's key that names the file, for messages.
        key: &'static str,
        /// The file.
        path: PathBuf,
    },
}

/// Why a file's secret can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}`: {path}: {message}", path = path.display())]
pub struct SecretError {
    key: &'static str,
    path: PathBuf,
    message: String,
}

impl Held {
    /// A secret that is written down.
    pub fn here(text: impl Into<String>) -> Self {
        Self::Here(Secret::new(text))
    }

    /// The secret as it is now; a file's without the blanks and line ends around it.
    ///
    /// # Errors
    /// A file that can't be read, is empty or too long.
    pub fn read(&self) -> Result<Secret, SecretError> {
        match self {
            Self::Here(secret) => Ok(secret.clone()),
            Self::File { key, path } => {
                read(path).map_err(|message| SecretError { key, path: path.clone(), message }).map(Secret)
            }
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    let file = plain(path).map_err(|error| error.to_string())?;
    let length = file.metadata().map_err(|error| error.to_string())?.len();
    if length > LONGEST {
        return Err(format!("it has {length} bytes, which is no secret; most are below 10,000"));
    }
    let text = std::io::read_to_string(file.take(LONGEST)).map_err(|error| error.to_string())?;
    let text = text.trim();
    if text.is_empty() { Err("it is empty".into()) } else { Ok(text.to_owned()) }
}

/// Who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Auth {
    /// Nobody in particular; a user and a password in the URL are used if there are any.
    #[default]
    None,
    /// `Authorization: Bearer …`.
    Bearer(Held),
    /// `Authorization: Basic …`.
    Basic {
        /// The user's name.
        username: String,
        /// The password.
        password: Held,
    },
}

/// `Authorization` of a user (RFC 7617).
pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

impl Auth {
    /// The value of `Authorization`, if there is one, and what must not be shown of it.
    ///
    /// # Errors
    /// A file's secret can't be used.
    pub(super) fn header(&self) -> Result<Option<(String, Vec<String>)>, SecretError> {
        Ok(match self {
            Self::None => None,
            Self::Bearer(token) => {
                let token = token.read()?.0;
                Some((format!("Bearer {token}"), vec![token]))
            }
            Self::Basic { username, password } => {
                let password = password.read()?.0;
                let value = basic(username, &password);
                let both = value.trim_start_matches("Basic ").to_owned();
                Some((value, vec![both, password]))
            }
        })
    }

    /// What must not be shown of it at present.
    pub fn secrets(&self) -> Vec<String> {
        self.header().ok().flatten().map(|(_, secrets)| secrets).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_each_time_and_named_where_it_cant_be() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let token = Auth::Bearer(Held::File { key: "bearer_token_file", path: path.clone() });
        assert!(token.header().unwrap_err().to_string().starts_with("`bearer_token_file`: "));
        std::fs::write(&path, "one\n").unwrap();
        assert_eq!(token.header().unwrap().unwrap().0, "Bearer one");
        std::fs::write(&path, " two \r\n").unwrap();
        assert_eq!(token.secrets(), ["two"]);
        std::fs::write(&path, "\n").unwrap();
        assert!(token.header().unwrap_err().to_string().ends_with("it is empty"));
        std::fs::write(&path, vec![b'x'; 70_000]).unwrap();
        assert!(token.header().unwrap_err().to_string().contains("no secret"));
        assert!(!format!("{:?}", Held::here("hunter2")).contains("hunter2"));
    }
}
