//! Scalars: texts, expressions, and those with a form of their own.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

use super::{Node, Pair, ask};
use crate::base::{names, units};

/// Any scalar as a schema, with a description and an example.
pub fn scalar_schema(description: &str, examples: &[&str]) -> Schema {
    json_schema!({ "type": ["string", "number", "boolean"], "description": description, "examples": examples })
}

/// A text in which `{{ … }}` varies. What came from the environment is escaped already and stays as it is.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// The template's source.
    pub source: String,
    /// Where it stands.
    pub at: Node,
}

/// An expression, written without braces.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Expr {
    /// The expression's source.
    pub source: String,
    /// Where it stands.
    pub at: Node,
}

/// A scalar as it stands, to be parsed by whoever wants it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Scalar {
    /// The text, without quotes.
    pub source: String,
    /// Where it stands.
    pub at: Node,
}

macro_rules! text_like {
    ($type:ident, $ask:expr, $description:literal) => {
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($type), "(node {})"), self.at.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let (at, source) = deserializer.deserialize_newtype_struct($ask, Pair::<String>(PhantomData))?;
                Ok(Self { source, at })
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": ["string", "number", "boolean"], "description": $description })
            }
        }
    };
}

text_like!(Text, ask::TEMPLATE, "A text; `{{ expression }}` in it is evaluated by a virtual user as it runs.");
text_like!(Expr, ask::SCALAR, "An expression, without braces.");
text_like!(Scalar, ask::SCALAR, "A scalar.");

/// A scalar that is parsed while the profile is read: a type whose text has a form of its own.
pub trait Parsed: Sized {
    /// Its name in the schema.
    const NAME: &'static str;
    /// What it is, for the schema.
    const DESCRIPTION: &'static str;
    /// How it is written.
    const EXAMPLES: &'static [&'static str];
    /// Reads the text.
    ///
    /// # Errors
    /// A message that says what would be right.
    fn parse(text: &str) -> Result<Self, String>;
}

/// A [`Parsed`] value and where it stands.
#[derive(Clone, Copy, Default)]
pub struct Of<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub at: Node,
}

impl<T> fmt::Debug for Of<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(node {})", self.at.0)
    }
}

impl<'de, T: Parsed> Deserialize<'de> for Of<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parse<T>(PhantomData<T>);
        impl<'de, T: Parsed> Visitor<'de> for Parse<T> {
            type Value = Of<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::DESCRIPTION)
            }
            // In here, so that the reader puts the place of this very scalar to the error.
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                let (at, text) = Pair::<String>(PhantomData).visit_seq(seq)?;
                T::parse(text.trim()).map(|value| Of { value, at }).map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_newtype_struct(ask::SCALAR, Parse(PhantomData))
    }
}

impl<T: Parsed> JsonSchema for Of<T> {
    fn schema_name() -> Cow<'static, str> {
        T::NAME.into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        scalar_schema(T::DESCRIPTION, T::EXAMPLES)
    }
}

/// A name of the profile: `[A-Za-z_][A-Za-z0-9_-]*`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Name(pub String);

impl Parsed for Name {
    const NAME: &'static str = "Name";
    const DESCRIPTION: &'static str = "A name: letters, digits, `_` and `-`, not starting with a digit or `-`.";
    const EXAMPLES: &'static [&'static str] = &["voters", "read-back"];

    fn parse(text: &str) -> Result<Self, String> {
        if names::is_name(text) {
            return Ok(Self(text.to_owned()));
        }
        let hint = if text.contains(['(', ')', '[', ']', '"', '\'']) {
            "\nan expression with commas, brackets or colons wants quotes in flow style: {n: \"random_int(1, 5)\"}"
        } else {
            ""
        };
        Err(format!("`{text}` is not a name; a name is letters, digits, `_` and `-`, and starts with a letter or `_`{hint}"))
    }
}

impl Parsed for std::time::Duration {
    const NAME: &'static str = "Duration";
    const DESCRIPTION: &'static str = "A duration: a number and its unit (ms, s, m, h, d), or several.";
    const EXAMPLES: &'static [&'static str] = &["250ms", "0.5s", "5m", "1h30m"];

    fn parse(text: &str) -> Result<Self, String> {
        units::parse_duration(text).map_err(|error| error.to_string())
    }
}

/// A ratio: `0.5%`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Ratio(pub f64);

impl Parsed for Ratio {
    const NAME: &'static str = "Ratio";
    const DESCRIPTION: &'static str = "A ratio, as a percentage.";
    const EXAMPLES: &'static [&'static str] = &["0.5%", "10%"];

    fn parse(text: &str) -> Result<Self, String> {
        units::parse_ratio(text).map(Self).map_err(|error| error.to_string())
    }
}

/// A size in bytes: `64KiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size(pub u64);

impl Parsed for Size {
    const NAME: &'static str = "Size";
    const DESCRIPTION: &'static str = "A size: bytes, or a number and its unit.";
    const EXAMPLES: &'static [&'static str] = &["64KiB", "10MB", "500"];

    fn parse(text: &str) -> Result<Self, String> {
        units::parse_size(text).map(Self).map_err(|error| error.to_string())
    }
}
