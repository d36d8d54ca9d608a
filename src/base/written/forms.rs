//! Values that may be written in a short form or in a long one.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

use super::ask;

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
