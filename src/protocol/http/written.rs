//! HTTP's keys as a profile writes them; `plan` makes the requests of them.

use std::net::IpAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::base::written::{Anything, At, Dns, Entries, Expr, Form, Many, Name, Named, Of, Parsed, Scalar, Size, Text, Tls, Way};

/// Declares a struct with the keys that a step and the defaults share.
macro_rules! with_settings {
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$field_doc:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
            /// How long all of a request may take: waiting for a shared connection, connecting, redirects and the body included. Default 30s.
            pub timeout: Option<Of<Duration>>,
            /// Headers to send; those of a step add to and replace those of the defaults.
            pub headers: Option<Entries<Text>>,
            /// Who asks: `basic: {user, password}` or `bearer: token`, sent as the header `authorization`.
            pub auth: Option<At<Auth>>,
            /// How many redirects are followed; the request and its redirects are one sample. Default 0.
            pub redirects: Option<At<u32>>,
            /// Whether cookies are kept and sent, in one jar a user. Default true.
            pub cookies: Option<At<bool>>,
            /// Whether compressed answers are asked for and unpacked. Default true.
            pub compression: Option<At<bool>>,
            /// Whether the body of an answer is counted and thrown away. Default false.
            pub discard_body: Option<At<bool>>,
            /// The longest body that is kept to be read, unpacked too; a longer one is an error. Default 16MiB.
            pub max_body: Option<Of<Size>>,
            /// `auto`, `1.1` or `2`. Default auto: with https what both sides speak, otherwise 1.1.
            pub version: Option<Of<Version>>,
            /// How the target's certificate is checked, and with which one the user shows itself.
            pub tls: Option<Tls>,
            /// `{shared: 64}`: one pool of so many connections for all users. Default: one connection a user.
            pub connections: Option<Connections>,
            /// `false`: each request opens a connection of its own. Default true.
            pub reuse: Option<At<bool>>,
            /// Addresses of this machine to connect from, in turn.
            pub from: Option<Many<Of<IpAddr>>>,
            /// How names are resolved.
            pub dns: Option<Dns>,
            /// The proxy to go through: `http://user:password@host:port`. The environment is not asked for one.
            pub http_proxy: Option<Scalar>,
            /// Hosts that are connected to at another address: `{shop.example: 127.0.0.1:8080}`. Cookies, TLS and the header `host` follow the name.
            pub connect_to: Option<Entries<Scalar>>,
        }

        impl $name {
            /// The keys that a step and the defaults share.
            pub fn settings(&self) -> Settings<'_> {
                Settings {
                    timeout: self.timeout.as_ref(),
                    headers: self.headers.as_ref(),
                    auth: self.auth.as_ref(),
                    redirects: self.redirects.as_ref(),
                    cookies: self.cookies.as_ref(),
                    compression: self.compression.as_ref(),
                    discard_body: self.discard_body.as_ref(),
                    max_body: self.max_body.as_ref(),
                    version: self.version.as_ref(),
                    tls: self.tls.as_ref(),
                    connections: self.connections.as_ref(),
                    reuse: self.reuse.as_ref(),
                    way: Way {
                        from: self.from.as_ref(),
                        dns: self.dns.as_ref(),
                        http_proxy: self.http_proxy.as_ref(),
                        connect_to: self.connect_to.as_ref(),
                    },
                }
            }
        }
    };
}

/// The keys that a step and the defaults share, as one of them has them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings<'a> {
    /// `timeout`
    pub timeout: Option<&'a Of<Duration>>,
    /// `headers`
    pub headers: Option<&'a Entries<Text>>,
    /// `auth`
    pub auth: Option<&'a At<Auth>>,
    /// `redirects`
    pub redirects: Option<&'a At<u32>>,
    /// `cookies`
    pub cookies: Option<&'a At<bool>>,
    /// `compression`
    pub compression: Option<&'a At<bool>>,
    /// `discard_body`
    pub discard_body: Option<&'a At<bool>>,
    /// `max_body`
    pub max_body: Option<&'a Of<Size>>,
    /// `version`
    pub version: Option<&'a Of<Version>>,
    /// `tls`
    pub tls: Option<&'a Tls>,
    /// `connections`
    pub connections: Option<&'a Connections>,
    /// `reuse`
    pub reuse: Option<&'a At<bool>>,
    /// By which way to get there.
    pub way: Way<'a>,
}

with_settings! {
    /// What all HTTP steps have in common.
    pub struct HttpDefaults {
        /// What a path is appended to, or `builtin`: the program's own echo target.
        pub base_url: Option<Text>,
    }
}

with_settings! {
    /// One HTTP request.
    pub struct HttpStep {
        /// GET this path or URL.
        pub get: Option<Text>,
        /// POST to this path or URL.
        pub post: Option<Text>,
        /// PUT to this path or URL.
        pub put: Option<Text>,
        /// PATCH this path or URL.
        pub patch: Option<Text>,
        /// DELETE this path or URL.
        pub delete: Option<Text>,
        /// HEAD of this path or URL.
        pub head: Option<Text>,
        /// OPTIONS of this path or URL.
        pub options: Option<Text>,
        /// Another method; goes with `url`.
        pub method: Option<Scalar>,
        /// The path or URL that `method` goes to.
        pub url: Option<Text>,
        /// The label `step`. Default: method and path as written.
        pub name: Option<Scalar>,
        /// Appended to the URL, encoded.
        pub query: Option<Entries<Many<Text>>>,
        /// Which answers are right; others are errors. Default: status 200..399.
        pub expect: Option<Expect>,
        /// Variables to take from the answer.
        pub extract: Option<Named<Form<Scalar, Extraction>>>,
        /// Expressions that should hold; a failed check isn't an error.
        pub check: Option<Named<Expr>>,
        /// The body as text.
        pub body: Option<Text>,
        /// The body as JSON; its texts may hold `{{ … }}`.
        pub json: Option<Anything>,
        /// The body as a form.
        pub form: Option<Entries<Many<Text>>>,
        /// The body as parts (`multipart/form-data`), made as they are sent.
        pub multipart: Option<Many<At<Part>>>,
    }
}

impl HttpStep {
    /// The variables that the digests of its parts go into, in the order of the parts.
    pub fn digests(&self) -> impl Iterator<Item = Of<Name>> {
        self.multipart.iter().flat_map(|parts| &parts.0).filter_map(|part| part.value.digest.clone())
    }
}

/// One part of a multipart body: a `value`, a `file` or `random` content.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The field's name.
    pub name: Text,
    /// Its content as a text.
    pub value: Option<Text>,
    /// The file that is sent, relative to this profile; read as it is sent.
    pub file: Option<Text>,
    /// So many generated bytes (`10MB`), or any number of them within a range (`100KB..50MB`): incompressible, others each time.
    pub random: Option<Text>,
    /// The file's name as it is sent. Default: that of the file, `random.bin` for generated content, none for a text.
    pub filename: Option<Text>,
    /// The part's content type. Default: application/octet-stream for files and generated content, none for a text.
    pub content_type: Option<Text>,
    /// A variable that is set to the SHA-256, in hex, of what was sent of the part; unset if it wasn't sent to its end.
    pub digest: Option<Of<Name>>,
}

/// Who asks: one of the two.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// A user and a password.
    pub basic: Option<Basic>,
    /// A token.
    pub bearer: Option<Text>,
}

/// A user and a password, as HTTP's Basic authentication sends them.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// The user's name.
    pub user: Option<Text>,
    /// The password.
    pub password: Option<Text>,
}

/// Which answers are right.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Status codes: one, a range (`200..299`), or a list. Others are errors with the reason `status`.
    pub status: Option<Many<Of<StatusRange>>>,
    /// Expressions that must hold; otherwise it is an error with the reason `expect`.
    pub that: Option<Many<Expr>>,
}

/// Where a variable comes from.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Extraction {
    /// A JSONPath into the body.
    pub json: Option<Scalar>,
    /// A header's name.
    pub header: Option<Scalar>,
    /// A regular expression; its first group, or all of it.
    pub regex: Option<Scalar>,
    /// All nodes of the JSONPath as a list, instead of the first.
    pub all: Option<At<bool>>,
    /// Finding nothing is an error (`data`). Default: the variable is unset.
    pub required: Option<At<bool>>,
}

/// Whose the connections are.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connections {
    /// So many for all users of the scenario.
    pub shared: At<u64>,
}

/// The version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// What both sides speak.
    #[default]
    Auto,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2: agreed on within TLS, known beforehand without.
    Http2,
}

impl Parsed for Version {
    const NAME: &'static str = "HttpVersion";
    const DESCRIPTION: &'static str = "The version of HTTP: auto, 1.1 or 2.";
    const EXAMPLES: &'static [&'static str] = &["auto", "1.1", "2"];

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "1.1" => Ok(Self::Http11),
            "2" | "2.0" => Ok(Self::Http2),
            _ => Err(format!("`{text}` is not a version of HTTP; write auto, 1.1 or 2")),
        }
    }
}

/// Status codes from a first to a last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatusRange {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

impl Parsed for StatusRange {
    const NAME: &'static str = "StatusCodes";
    const DESCRIPTION: &'static str = "A status code, or a range of them.";
    const EXAMPLES: &'static [&'static str] = &["201", "200..299"];

    fn parse(text: &str) -> Result<Self, String> {
        let code = |text: &str| text.trim().parse::<u16>().ok().filter(|code| (100..=999).contains(code));
        let range = match text.split_once("..") {
            Some((first, last)) => code(first).zip(code(last)),
            None => code(text).map(|code| (code, code)),
        };
        match range {
            Some((first, last)) if first <= last => Ok(Self { first, last }),
            _ => Err(format!("`{text}` is not a status code; write one like 201, or a range like 200..299")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_codes_and_versions() {
        assert_eq!(StatusRange::parse("201"), Ok(StatusRange { first: 201, last: 201 }));
        assert_eq!(StatusRange::parse("200..299"), Ok(StatusRange { first: 200, last: 299 }));
        for bad in ["20", "ok", "299..200", "200-299", "1000"] {
            assert!(StatusRange::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Version::parse("1.1"), Ok(Version::Http11));
        assert_eq!(Version::parse("2"), Ok(Version::Http2));
        assert!(Version::parse("3").unwrap_err().contains("auto, 1.1 or 2"));
    }
}
