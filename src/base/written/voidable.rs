//! Values that may be left out behind their key: `- hold:`.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

use super::ask;

/// A value, or nothing behind the key, which is there all the same.
#[derive(Clone, Debug, Default)]
pub struct Voidable<T>(pub Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Voidable<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = Voidable<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value of a profile, or nothing")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let missing = || de::Error::custom("no value");
                if seq.next_element::<bool>()?.ok_or_else(missing)? {
                    return Ok(Voidable(None));
                }
                Ok(Voidable(Some(seq.next_element()?.ok_or_else(missing)?)))
            }
        }
        deserializer.deserialize_newtype_struct(ask::VOIDABLE, Either(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Voidable<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("{}OrNothing", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [value, { "type": "null" }] })
    }
}
