//! Certificates and keys as PEM texts. What is wrong with a text is said without a word of it: it may be a key.

use std::io::{self, Read as _};
use std::path::Path;

use rustls::pki_types::pem::{Error, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::base::files::plain;

/// The longest file, in bytes.
const LONGEST: u64 = 10 * 1024 * 1024;

/// Why a PEM text can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// Its file can't be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// It has none of what is looked for.
    #[error("holds no certificate (`-----BEGIN CERTIFICATE-----`)")]
    NoCertificate,
    /// It has none of what is looked for.
    #[error("holds no private key (`-----BEGIN PRIVATE KEY-----`); one that a passphrase encrypts can't be used")]
    NoKey,
    /// It isn't PEM.
    #[error("is no PEM: {0}")]
    Form(&'static str),
    /// What is encoded in it is no certificate.
    #[error("holds a certificate that can't be read: what is encoded in it is none, or not all of one")]
    OddCertificate,
    /// What is encoded in it is no key, or of a kind that isn't known.
    #[error("holds a private key that can't be used: RSA from 2048 bits on, ECDSA on P-256 or P-384, and Ed25519 can")]
    OddKey,
    /// It is the key of another certificate.
    #[error("holds the key of another certificate; the two don't belong together")]
    OtherKey,
}

impl PemError {
    /// Why a certificate and a key make no pair.
    pub fn of_pair(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InconsistentKeys(_) => Self::OtherKey,
            rustls::Error::InvalidCertificate(_) => Self::OddCertificate,
            _ => Self::OddKey,
        }
    }

    /// Whether it is the certificate of a pair that is wrong, and not the key.
    pub fn is_of_certificate(&self) -> bool {
        matches!(self, Self::NoCertificate | Self::OddCertificate)
    }
}

/// The text of a plain file.
///
/// # Errors
/// What the system says, or that it is no plain file, or too long.
pub fn file(path: &Path) -> Result<Vec<u8>, PemError> {
    let mut text = Vec::new();
    plain(path)?.take(LONGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LONGEST { Err(io::Error::other("it is longer than 10 MiB").into()) } else { Ok(text) }
}

/// All certificates of a text; there is one at least.
///
/// # Errors
/// A text that holds none, or isn't PEM.
pub fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(text).collect::<Result<_, _>>().map_err(|error| form(&error))?;
    if found.is_empty() { Err(PemError::NoCertificate) } else { Ok(found) }
}

/// The first private key of a text.
///
/// # Errors
/// A text that holds none, or isn't PEM.
pub fn key(text: &[u8]) -> Result<PrivateKeyDer<'static>, PemError> {
    match PrivateKeyDer::from_pem_slice(text) {
        Ok(key) => Ok(key),
        Err(Error::NoItemsFound) => Err(PemError::NoKey),
        Err(error) => Err(form(&error)),
    }
}

/// The library's own words repeat lines of the text.
fn form(error: &Error) -> PemError {
    PemError::Form(match error {
        Error::MissingSectionEnd { .. } => "a part that begins has no end (`-----END …-----` on a line of its own)",
        Error::IllegalSectionStart { .. } => "a beginning (`-----BEGIN …-----`) has no line of its own",
        Error::Base64Decode(_) => {
            "what stands between `-----BEGIN …-----` and `-----END …-----` isn't Base64 (letters, digits, `+` and `/`, `=` at its end)"
        }
        Error::SectionTooLarge => "a part of it is longer than 10 MB",
        _ => "it can't be read",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_an_end_is_not_read() {
        let long = tempfile::NamedTempFile::new().unwrap();
        long.as_file().set_len(LONGEST).unwrap();
        assert_eq!(file(long.path()).unwrap().len() as u64, LONGEST);
        long.as_file().set_len(LONGEST + 1).unwrap();
        assert_eq!(file(long.path()).unwrap_err().to_string(), "it is longer than 10 MiB");
        assert!(file(Path::new("/dev/zero")).unwrap_err().to_string().contains("no plain file"));
    }

    #[test]
    fn what_is_wrong_with_a_key_shows_none_of_it() {
        let made = rcgen::KeyPair::generate().unwrap().serialize_pem();
        assert!(key(made.as_bytes()).is_ok());
        assert!(matches!(certificates(made.as_bytes()), Err(PemError::NoCertificate)));
        let secret: String = made.lines().filter(|line| !line.starts_with('-')).collect();
        let (half, _) = secret.split_at(40);
        for broken in [
            // As YAML folds lines that no `|` keeps.
            made.replace('\n', " "),
            made.replace("KEY-----", "KEY").clone(),
            made.replace("\n-----END", "-----END"),
            made.replace("-----END", half),
            made.replacen(half, &format!("{half}?"), 1),
            made.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
            made.replace("-----", ""),
            half.to_owned(),
            format!("-----BEGIN {half}-----\n{half}\n-----END {half}-----\n"),
        ] {
            let error = key(broken.as_bytes()).unwrap_err();
            for shown in [error.to_string(), format!("{error:?}")] {
                let leaks = secret.as_bytes().windows(8).any(|part| shown.contains(std::str::from_utf8(part).unwrap()));
                assert!(!leaks && !shown.contains(&format!("{:?}", half.as_bytes())), "{shown}");
            }
        }
    }
}
