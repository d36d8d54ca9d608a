//! Rows of a JSON array: where each starts, and the value that starts there.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;

use super::{Columns, Flaw, Starts};
use crate::expr::json::Tree;

/// Beyond so many different keys a list of them helps nobody.
const MOST_COLUMNS: usize = 1000;

/// The first value in `bytes`, and how long it is.
fn first<'b, T: Deserialize<'b>>(bytes: &'b [u8]) -> Option<(serde_json::Result<T>, usize)> {
    let mut stream = serde_json::Deserializer::from_slice(bytes).into_iter::<T>();
    let value = stream.next()?;
    Some((value, stream.byte_offset()))
}

/// The value that starts here.
pub(super) fn row(bytes: &[u8]) -> Option<Json> {
    let (_, length) = first::<IgnoredAny>(bytes)?;
    Tree::parse(&bytes[..length]).map(Tree::exact)
}

/// The names that rows have, if they are all objects, and the start of each row.
pub(super) fn index(bytes: &[u8]) -> Result<(Option<Columns>, Starts), Flaw> {
    let mark = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let skip = |at: usize| at + bytes[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let mut at = skip(mark);
    if at == bytes.len() {
        return Err(Flaw::at(bytes, at, "this file is empty; it holds a JSON array"));
    }
    if bytes[at] != b'[' {
        return Err(Flaw::at(bytes, at, "this is no array; rows are the elements of a JSON array: [{\"name\": \"ann\"}, …]"));
    }
    at = skip(at + 1);
    let mut starts = Vec::new();
    let mut columns = Some(BTreeSet::new());
    loop {
        match bytes.get(at) {
            Some(b']') if starts.is_empty() => return Err(Flaw::at(bytes, at, "this array is empty; data has at least one row")),
            Some(b',' | b']') => return Err(Flaw::at(bytes, at, "a row is missing here")),
            None => return Err(Flaw::at(bytes, at, "this array has no end; a `]` is missing")),
            Some(_) => {}
        }
        let (shape, length) = match first::<Shape<'_>>(&bytes[at..]) {
            Some((Ok(shape), length)) => (shape, length),
            Some((Err(error), _)) => return Err(broken(bytes, at, &error)),
            None => return Err(Flaw::at(bytes, at, "a row is missing here")),
        };
        match shape {
            Shape::Array => {
                return Err(Flaw::at(bytes, at, "this row is an array; a row is an object, a text, a number, true or false"));
            }
            Shape::Scalar => columns = None,
            Shape::Object(keys) => columns = columns.and_then(|columns| with(columns, keys)),
        }
        // A file is no longer than 32 bits can say.
        starts.push(at as u32);
        at = skip(at + length);
        match bytes.get(at) {
            Some(b',') => at = skip(at + 1),
            Some(b']') => break,
            _ => return Err(Flaw::at(bytes, at, "a comma or a `]` is missing here")),
        }
    }
    let after = skip(at + 1);
    if after < bytes.len() {
        return Err(Flaw::at(bytes, after, "something follows the array"));
    }
    Ok((columns.map(|columns| columns.into_iter().map(String::into_boxed_str).collect()), starts))
}

fn with(mut columns: BTreeSet<String>, keys: Vec<std::borrow::Cow<'_, str>>) -> Option<BTreeSet<String>> {
    for key in keys {
        if !columns.contains(&*key) {
            columns.insert(key.into_owned());
        }
    }
    (columns.len() <= MOST_COLUMNS).then_some(columns)
}

/// A row that isn't JSON. The parser's own words say where within the row.
fn broken(bytes: &[u8], at: usize, error: &serde_json::Error) -> Flaw {
    let mut flaw = Flaw::at(bytes, at, "");
    flaw.line += error.line().saturating_sub(1) as u64;
    let text = error.to_string();
    let message = text.rfind(" at line ").map_or(text.as_str(), |end| &text[..end]);
    flaw.message = format!("this is not JSON: {message}");
    flaw
}

/// What a row is, as far as it matters before it is picked.
enum Shape<'b> {
    Object(Vec<std::borrow::Cow<'b, str>>),
    Array,
    Scalar,
}

impl<'b> Deserialize<'b> for Shape<'b> {
    fn deserialize<D: Deserializer<'b>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        macro_rules! scalars {
            ($($visit:ident $type:ty),+) => {
                $(fn $visit<E>(self, _: $type) -> Result<Shape<'b>, E> {
                    Ok(Shape::Scalar)
                })+
            };
        }
        impl<'b> Visitor<'b> for Any {
            type Value = Shape<'b>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a row")
            }
            scalars!(visit_bool bool, visit_i64 i64, visit_u64 u64, visit_f64 f64, visit_str &str);
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Shape::Scalar)
            }
            fn visit_seq<A: SeqAccess<'b>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Shape::Array)
            }
            fn visit_map<A: MapAccess<'b>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut keys = Vec::new();
                while let Some((Key(key), IgnoredAny)) = map.next_entry()? {
                    keys.push(key);
                }
                Ok(Shape::Object(keys))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// The name of an object's part, borrowed where it can be.
struct Key<'b>(std::borrow::Cow<'b, str>);

impl<'b> Deserialize<'b> for Key<'b> {
    fn deserialize<D: Deserializer<'b>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'b> Visitor<'b> for Text {
            type Value = Key<'b>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_borrowed_str<E>(self, text: &'b str) -> Result<Self::Value, E> {
                Ok(Key(text.into()))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Key(text.to_owned().into()))
            }
        }
        deserializer.deserialize_str(Text)
    }
}
