//! The leaves of a profile as written: values that remember their place, texts, expressions, lists of one.
//!
//! They are plain serde types, so that a driver can declare its own keys. What they need beyond serde (the place, the raw
//! text of a scalar, the kind of a node) they ask for by the reserved newtype names below, which the profile's reader
//! answers; any other deserializer is refused. None of them prints its text: it may hold a secret.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// The reserved names by which the types of this module ask the profile's reader.
pub mod ask {
    /// `[node, value]`: the value with its place.
    pub const AT: &str = "$at";
    /// `[node, text]`: a template, in which what came from the environment is escaped.
    pub const TEMPLATE: &str = "$template";
    /// `[node, text]`: a scalar's text as it stands, whatever its type.
    pub const SCALAR: &str = "$scalar";
    /// `[value, …]`: a list, or one value as a list of one.
    pub const MANY: &str = "$many";
    /// `[is a scalar, value]`.
    pub const FORM: &str = "$form";
    /// `[any value is a scalar, value]`, of a mapping.
    pub const FLAT: &str = "$flat";
    /// `[node]`: whatever stands there.
    pub const NODE: &str = "$node";
    /// Refused with "not supported yet".
    pub const NOT_YET: &str = "$not-yet";
}

/// A place in the profile: an index into the reader's tree. 0 is the whole document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Node(pub u32);

/// A value and where it stands.
#[derive(Clone, Copy, Default)]
pub struct At<T> {
    /// What was written.
    pub value: T,
    /// Where.
    pub at: Node,
}

impl<T> fmt::Debug for At<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(node {})", self.at.0)
    }
}

/// What stands beside a node: reads `[node, value]`.
struct Pair<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Pair<T> {
    type Value = (Node, T);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of a profile")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let node = seq.next_element::<u32>()?.ok_or_else(|| de::Error::custom("no place"))?;
        let value = seq.next_element::<T>()?.ok_or_else(|| de::Error::custom("no value"))?;
        Ok((Node(node), value))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (at, value) = deserializer.deserialize_newtype_struct(ask::AT, Pair::<T>(PhantomData))?;
        Ok(Self { value, at })
    }
}

/// Delegates a schema to that of another type.
macro_rules! schema_of {
    ([$($generics:tt)*] $type:ty => $inner:ty) => {
        impl<$($generics)*> JsonSchema for $type {
            fn inline_schema() -> bool {
                <$inner>::inline_schema()
            }
            fn schema_name() -> Cow<'static, str> {
                <$inner>::schema_name()
            }
            fn schema_id() -> Cow<'static, str> {
                <$inner>::schema_id()
            }
            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                <$inner>::json_schema(generator)
            }
        }
    };
}

schema_of!([T: JsonSchema] At<T> => T);

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

/// A mapping in written order.
#[derive(Clone)]
pub struct Entries<T>(pub Vec<(At<String>, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: fmt::Debug> fmt::Debug for Entries<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(key, value)| (&key.value, value))).finish()
    }
}

impl<T> Entries<T> {
    /// The entries in written order.
    pub fn iter(&self) -> std::slice::Iter<'_, (At<String>, T)> {
        self.0.iter()
    }

    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<&T> {
        self.0.iter().find(|(name, _)| name.value == key).map(|(_, value)| value)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads the entries of a mapping whose keys are of type `K`.
struct EachEntry<K, T>(PhantomData<(K, T)>);

impl<'de, K: Deserialize<'de> + Into<At<String>>, T: Deserialize<'de>> Visitor<'de> for EachEntry<K, T> {
    type Value = Entries<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = map.next_entry::<K, T>()? {
            entries.push((key.into(), value));
        }
        Ok(Entries(entries))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EachEntry::<At<String>, T>(PhantomData))
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
        if super::names::is_name(text) {
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

impl From<Of<Name>> for At<String> {
    fn from(name: Of<Name>) -> Self {
        Self { value: name.value.0, at: name.at }
    }
}

/// [`Entries`] whose keys are names.
#[derive(Clone, Debug)]
pub struct Named<T>(pub Entries<T>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Entries::default())
    }
}

impl<T> std::ops::Deref for Named<T> {
    type Target = Entries<T>;

    fn deref(&self) -> &Entries<T> {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EachEntry::<Of<Name>, T>(PhantomData)).map(Self)
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("NamedMapOf{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        json_schema!({
            "type": "object", "propertyNames": { "pattern": "^[A-Za-z_][A-Za-z0-9_-]*$" }, "additionalProperties": value
        })
    }
}

impl<T: JsonSchema> JsonSchema for Entries<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("MapOf{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": generator.subschema_for::<T>() })
    }
}

/// A list, or one value as a list of one.
#[derive(Clone, Debug)]
pub struct Many<T>(pub Vec<T>);

impl<T> Default for Many<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Each<T> {
            type Value = Many<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                }
                Ok(Many(values))
            }
        }
        deserializer.deserialize_newtype_struct(ask::MANY, Each(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Many<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMore{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

/// Reads `[bool, value]` as one of two types.
struct Fork<A, B>(PhantomData<(A, B)>);

impl<'de, A: Deserialize<'de>, B: Deserialize<'de>> Visitor<'de> for Fork<A, B> {
    type Value = Result<A, B>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of a profile")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
        let missing = || de::Error::custom("no value");
        if seq.next_element::<bool>()?.ok_or_else(missing)? {
            Ok(Ok(seq.next_element()?.ok_or_else(missing)?))
        } else {
            Ok(Err(seq.next_element()?.ok_or_else(missing)?))
        }
    }
}

macro_rules! fork {
    ($(#[$doc:meta])* $type:ident, $ask:expr, $(#[$first_doc:meta])* $first:ident, $(#[$second_doc:meta])* $second:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub enum $type<A, B> {
            $(#[$first_doc])*
            $first(A),
            $(#[$second_doc])*
            $second(B),
        }

        impl<'de, A: Deserialize<'de>, B: Deserialize<'de>> Deserialize<'de> for $type<A, B> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(match deserializer.deserialize_newtype_struct($ask, Fork::<A, B>(PhantomData))? {
                    Ok(value) => Self::$first(value),
                    Err(value) => Self::$second(value),
                })
            }
        }

        impl<A: JsonSchema, B: JsonSchema> JsonSchema for $type<A, B> {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                format!("{}Or{}", A::schema_name(), B::schema_name()).into()
            }
            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let (first, second) = (generator.subschema_for::<A>(), generator.subschema_for::<B>());
                json_schema!({ "anyOf": [first, second] })
            }
        }
    };
}

fork!(
    /// A scalar, or a mapping with the details.
    Form, ask::FORM,
    /// A scalar.
    Short,
    /// A mapping (or a list).
    Long
);
fork!(
    /// A mapping that holds scalars, or one whose values are mappings throughout.
    Flat, ask::FLAT,
    /// It holds at least one scalar.
    One,
    /// Its values are mappings, or it has none.
    Each
);

/// Any value: mappings, lists and scalars, read later from the reader's tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anything(pub Node);

impl<'de> Deserialize<'de> for Anything {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Place;
        impl<'de> Visitor<'de> for Place {
            type Value = Anything;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value of a profile")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                Ok(Anything(Node(seq.next_element()?.ok_or_else(|| de::Error::custom("no place"))?)))
            }
        }
        deserializer.deserialize_newtype_struct(ask::NODE, Place)
    }
}

impl JsonSchema for Anything {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Anything".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!(true)
    }
}

/// A key that the contract has and this version does not: always refused, at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotYet;

impl<'de> Deserialize<'de> for NotYet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Refused;
        impl Visitor<'_> for Refused {
            type Value = NotYet;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("nothing: this key is not supported yet")
            }
        }
        deserializer.deserialize_newtype_struct(ask::NOT_YET, Refused)
    }
}

impl Parsed for std::time::Duration {
    const NAME: &'static str = "Duration";
    const DESCRIPTION: &'static str = "A duration: a number and its unit (ms, s, m, h, d), or several.";
    const EXAMPLES: &'static [&'static str] = &["250ms", "0.5s", "5m", "1h30m"];

    fn parse(text: &str) -> Result<Self, String> {
        super::units::parse_duration(text).map_err(|error| error.to_string())
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
        super::units::parse_ratio(text).map(Self).map_err(|error| error.to_string())
    }
}
