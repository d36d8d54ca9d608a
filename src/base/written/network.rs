//! How connections are made, as all protocols write it: TLS, source addresses, DNS.

use std::net::IpAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{At, Entries, Many, Of, Parsed, Scalar};

/// TLS of a target.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Certificates to trust, PEM, instead of the system's.
    pub ca_file: Option<Scalar>,
    /// The user's own certificate, PEM.
    pub cert_file: Option<Scalar>,
    /// Its key, PEM.
    pub key_file: Option<Scalar>,
    /// The name to ask and check for, instead of the URL's host.
    pub server_name: Option<Scalar>,
    /// Take any certificate.
    pub insecure: Option<At<bool>>,
}

/// How names are resolved.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// How long an answer is used. Default: each connection asks anew, and answers of the last second count for all.
    pub refresh: Option<Of<Duration>>,
}

/// The keys that say by which way to get to a target, as one layer of a profile has them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Way<'w> {
    /// `from`
    pub from: Option<&'w Many<Of<IpAddr>>>,
    /// `dns`
    pub dns: Option<&'w Dns>,
    /// `http_proxy`
    pub http_proxy: Option<&'w Scalar>,
    /// `connect_to`
    pub connect_to: Option<&'w Entries<Scalar>>,
}

impl Parsed for IpAddr {
    const NAME: &'static str = "IpAddress";
    const DESCRIPTION: &'static str = "An address of the internet protocol, version 4 or 6.";
    const EXAMPLES: &'static [&'static str] = &["127.0.0.2", "::1"];

    fn parse(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        bare.parse().map_err(|_| format!("`{text}` is not an IP address; write one of this machine's, like 127.0.0.2"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_ip_addresses() {
        assert_eq!(<IpAddr as Parsed>::parse("127.0.0.2"), Ok([127, 0, 0, 2].into()));
        assert_eq!(<IpAddr as Parsed>::parse("[::1]").map(|ip| ip.is_ipv6()), Ok(true));
        for bad in ["localhost", "127.0.0.2:80", "10.0.0.0/8", ""] {
            assert!(<IpAddr as Parsed>::parse(bad).unwrap_err().contains("127.0.0.2"), "{bad}");
        }
    }
}
