//! A host as a profile writes it, at any port or at one.

use std::fmt;
use std::net::Ipv6Addr;

/// A host, and a port where one is written behind it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// A name or an address; IPv6 without brackets.
    pub host: String,
    /// The TCP port; all of them if absent.
    pub port: Option<u16>,
}

fn bare(host: &str) -> String {
    host.trim_matches(['[', ']']).to_ascii_lowercase()
}

impl HostPort {
    /// `example.com`, `example.com:8080`, `::1` or `[::1]:8080`.
    ///
    /// # Errors
    /// What is no host: a message that says what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no host; write one like example.com, or with a port like example.com:8080");
        if text.is_empty() || text.contains(['/', '?', '#', '@', ' ']) {
            return Err(wrong());
        }
        let (host, port) = match text.rsplit_once(':') {
            // More than one colon without brackets is an address of IPv6.
            Some((host, port)) if host.ends_with(']') || !host.contains(':') => (host, Some(port.parse().map_err(|_| wrong())?)),
            _ => (text, None),
        };
        // As URLs have it: `bücher.example` is `xn--bcher-kva.example` there.
        let host = match bare(host).parse::<Ipv6Addr>() {
            Ok(address) => address.to_string(),
            Err(_) => url::Host::parse(host).map_err(|_| wrong())?.to_string(),
        };
        Ok(Self { host, port })
    }

    /// Whether this host and port are meant.
    pub fn covers(&self, host: &str, port: u16) -> bool {
        self.port.is_none_or(|own| own == port) && self.host == bare(host)
    }

    /// Whether some port is meant both here and there.
    pub fn meets(&self, other: &Self) -> bool {
        self.host == other.host && (self.port.is_none() || other.port.is_none() || self.port == other.port)
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.host.contains(':'), self.port) {
            (true, Some(port)) => write!(f, "[{}]:{port}", self.host),
            (false, Some(port)) => write!(f, "{}:{port}", self.host),
            (_, None) => f.write_str(&self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_may_have_a_port() {
        let covers = |written: &str, host: &str, port| HostPort::parse(written).unwrap().covers(host, port);
        assert!(covers("Example.com", "example.COM", 80) && covers("example.com:8080", "example.com", 8080));
        assert!(!covers("example.com:8080", "example.com", 80) && !covers("example.com", "www.example.com", 80));
        assert!(covers("::1", "[::1]", 81) && covers("[::1]:81", "[::1]", 81) && !covers("[::1]:81", "::1", 82));
        assert!(covers("bücher.example", "xn--bcher-kva.example", 80));
        for wrong in ["http://example.com", "example.com/", "example.com:", "example.com:http", ":80", "", "a b", "u@h"] {
            assert!(HostPort::parse(wrong).unwrap_err().contains("is no host"), "{wrong}");
        }
        assert_eq!(HostPort::parse("[::1]:81").unwrap().to_string(), "[::1]:81");
    }

    #[test]
    fn places_meet_where_one_port_is_meant_by_both() {
        let meets = |a: &str, b: &str| HostPort::parse(a).unwrap().meets(&HostPort::parse(b).unwrap());
        assert!(meets("h", "h:80") && meets("h:80", "h") && meets("h:80", "h:80"));
        assert!(!meets("h:80", "h:81") && !meets("h", "i"));
    }
}
