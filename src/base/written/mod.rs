//! The leaves of a profile as written: values that remember their place, texts, expressions, lists of one.
//!
//! They are plain serde types, so that a driver can declare its own keys. What they need beyond serde (the place, the raw
//! text of a scalar, the kind of a node) they ask for by the reserved newtype names below, which the profile's reader
//! answers; any other deserializer is refused. None of them prints its text: it may hold a secret.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

mod collections;
mod forms;
mod network;
mod scalars;
mod voidable;

pub use collections::{Entries, Many, Named};
pub use forms::{Flat, Form};
pub use network::{Dns, Tls, Way};
pub use scalars::{Expr, Name, Of, Parsed, Ratio, Scalar, Size, Text, scalar_schema};
pub use voidable::Voidable;

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
    /// `[is nothing, value]`.
    pub const VOIDABLE: &str = "$voidable";
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
pub(super) struct Pair<T>(pub PhantomData<T>);

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
