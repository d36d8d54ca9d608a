//! The deserializer over nodes.

use std::borrow::Cow;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};

use super::fault::{Fault, Notes};
use super::keys::{Keys, keys_of, words};
use crate::base::names::nearest;
use crate::base::written::{Node, ask};
use crate::profile::tree::{NodeKind, Tree};
use crate::profile::values::{Plain, in_another_base, plain};

/// Reads one node.
#[derive(Clone, Copy)]
pub(super) struct Reader<'t> {
    pub tree: &'t Tree,
    pub notes: &'t Notes,
    pub node: Node,
    /// It is the key of a mapping: a text, whatever it looks like.
    pub key: bool,
    /// There is nothing behind the key, which stands alone: this node is the key's.
    pub void: bool,
}

/// Steps that may be written as a bare word, `- close`, since they need nothing more.
const BARE_STEPS: [&str; 4] = ["close", "hold", "listen", "receive"];

impl<'t> Reader<'t> {
    fn fault(&self, message: impl Into<String>) -> Fault {
        Fault::new(self.node, message)
    }

    fn child(&self, node: Node) -> Self {
        Self { node, key: false, void: false, ..*self }
    }

    /// What stands here, for "… is wanted, this is …".
    fn found(&self) -> String {
        match &self.tree.entry(self.node).kind {
            NodeKind::List(_) => "a list".into(),
            NodeKind::Map { .. } => "a mapping".into(),
            NodeKind::Scalar(scalar) if !scalar.plain => format!("the text `{}`", self.shown(&scalar.text)),
            NodeKind::Scalar(scalar) => match plain(&scalar.text) {
                Plain::Null => "nothing".into(),
                Plain::Bool(value) => format!("`{value}`"),
                Plain::Text(text) => format!("the text `{}`", self.shown(text)),
                _ => format!("the number {}", scalar.text),
            },
        }
    }

    fn shown(&self, text: &str) -> String {
        let secret = self.tree.scalar(self.node).is_some_and(|scalar| scalar.secret);
        if secret {
            return crate::base::secrets::HIDDEN.into();
        }
        let mut short: String = text.chars().take(40).collect();
        if short.len() < text.len() {
            short.push('…');
        }
        short
    }

    fn wanted(&self, what: &str) -> Fault {
        self.fault(format!("{what} is wanted here, this is {}", self.found()))
    }

    /// The text of a scalar, whatever its type.
    fn scalar_text(&self, template: bool) -> Result<&'t str, Fault> {
        let Some(scalar) = self.tree.scalar(self.node) else { return Err(self.wanted("a single value")) };
        if !self.key && scalar.plain && scalar.original.is_none() && matches!(plain(&scalar.text), Plain::Null) {
            return Err(self.nothing());
        }
        Ok(match &scalar.original {
            Some(original) if template => &original.template,
            _ => &scalar.text,
        })
    }

    fn nothing(&self) -> Fault {
        self.fault("there is no value here; give one, or take the key out")
    }

    fn number<N: std::str::FromStr>(&self, what: &str) -> Result<N, Fault> {
        let scalar = self.tree.scalar(self.node).filter(|scalar| scalar.plain).ok_or_else(|| self.wanted(what))?;
        if matches!(plain(&scalar.text), Plain::Null) {
            return Err(self.nothing());
        }
        let text = in_another_base(&scalar.text).map_or(Cow::Borrowed(&*scalar.text), |number| number.to_string().into());
        text.parse().map_err(|_| self.wanted(what))
    }

    /// Puts the place to a fault that has none yet.
    fn placed<T>(&self, result: Result<T, Fault>) -> Result<T, Fault> {
        result.map_err(|fault| Fault { node: fault.node.or(Some(self.node)), ..fault })
    }

    fn entries(&self) -> Result<&'t [(Node, Node)], Fault> {
        match &self.tree.entry(self.node).kind {
            NodeKind::Map { entries, .. } => Ok(entries),
            NodeKind::Scalar(scalar) if scalar.plain && scalar.text.is_empty() => Err(self.nothing()),
            _ => Err(self.wanted("a mapping")),
        }
    }

    /// `[first, this node]`.
    fn pair<'de, V: Visitor<'de>, F: IntoDeserializer<'de, Fault>>(&self, first: F, visitor: V) -> Result<V::Value, Fault> {
        self.placed(visitor.visit_seq(Pair { first: Some(first), second: Some(*self) }))
    }
}

struct Pair<'t, F> {
    first: Option<F>,
    second: Option<Reader<'t>>,
}

impl<'de, F: IntoDeserializer<'de, Fault>> de::SeqAccess<'de> for Pair<'_, F> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        if let Some(first) = self.first.take() {
            return seed.deserialize(first.into_deserializer()).map(Some);
        }
        self.second.take().map(|reader| seed.deserialize(reader)).transpose()
    }
}

/// `[node, text]`, the text already chosen.
struct Chosen<'t> {
    node: Option<u32>,
    text: Option<&'t str>,
}

impl<'de> de::SeqAccess<'de> for Chosen<'_> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        if let Some(node) = self.node.take() {
            return seed.deserialize(node.into_deserializer()).map(Some);
        }
        self.text.take().map(|text| seed.deserialize(StrDeserializer::new(text))).transpose()
    }
}

struct Items<'t> {
    reader: Reader<'t>,
    items: std::slice::Iter<'t, Node>,
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        self.items.next().map(|item| seed.deserialize(self.reader.child(*item))).transpose()
    }
}

struct Mapping<'t> {
    reader: Reader<'t>,
    entries: std::vec::IntoIter<(Node, Node)>,
    value: Option<Node>,
}

impl<'de> de::MapAccess<'de> for Mapping<'_> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(Reader { key: true, ..self.reader.child(key) }).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        match self.value.take() {
            Some(value) => seed.deserialize(self.reader.child(value)),
            None => Err(self.reader.fault("a key without a value")),
        }
    }
}

/// A mapping of one key with nothing behind it.
struct Bare<'t>(Option<Reader<'t>>, Reader<'t>);

impl<'de> de::MapAccess<'de> for Bare<'_> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        self.0.take().map(|key| seed.deserialize(key)).transpose()
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        seed.deserialize(self.1)
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $type:ty, $what:literal;)+) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            let number = self.number::<$type>($what)?;
            self.placed(visitor.$visit(number))
        })+
    };
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.tree.entry(self.node).kind {
            NodeKind::List(_) => self.deserialize_seq(visitor),
            NodeKind::Map { .. } => self.deserialize_map(visitor),
            NodeKind::Scalar(scalar) if self.key || !scalar.plain => self.placed(visitor.visit_str(&scalar.text)),
            NodeKind::Scalar(scalar) => self.placed(match plain(&scalar.text) {
                Plain::Null => visitor.visit_unit(),
                Plain::Bool(value) => visitor.visit_bool(value),
                Plain::Unsigned(value) => visitor.visit_u64(value),
                Plain::Signed(value) => visitor.visit_i64(value),
                Plain::Float(value) => visitor.visit_f64(value),
                Plain::Text(text) => visitor.visit_str(text),
            }),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.tree.scalar(self.node).filter(|scalar| scalar.plain).map(|scalar| scalar.text.as_str()) {
            Some("true") => self.placed(visitor.visit_bool(true)),
            Some("false") => self.placed(visitor.visit_bool(false)),
            Some("") => Err(self.nothing()),
            _ => Err(self.wanted("true or false")),
        }
    }

    numbers! {
        deserialize_u8 visit_u8 u8, "a whole number up to 255";
        deserialize_u16 visit_u16 u16, "a whole number up to 65535";
        deserialize_u32 visit_u32 u32, "a whole number";
        deserialize_u64 visit_u64 u64, "a whole number";
        deserialize_i8 visit_i8 i8, "a whole number";
        deserialize_i16 visit_i16 i16, "a whole number";
        deserialize_i32 visit_i32 i32, "a whole number";
        deserialize_i64 visit_i64 i64, "a whole number";
        deserialize_f32 visit_f32 f32, "a number";
        deserialize_f64 visit_f64 f64, "a number";
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let text = self.scalar_text(false)?;
        let looks = self.tree.scalar(self.node).filter(|scalar| !self.key && scalar.plain && scalar.original.is_none());
        if looks.is_some_and(|scalar| !matches!(plain(&scalar.text), Plain::Text(_))) {
            return Err(self.fault(format!("a text is wanted here, this is {}; write \"{text}\" in quotes", self.found())));
        }
        self.placed(visitor.visit_str(text))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.placed(visitor.visit_str(self.scalar_text(false)?))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.tree.scalar(self.node) {
            // What the environment left empty counts as absent.
            Some(scalar) if scalar.original.is_some() && scalar.text.is_empty() => self.placed(visitor.visit_none()),
            _ => self.placed(visitor.visit_some(self)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Fault> {
        match name {
            ask::AT => self.pair(self.node.0, visitor),
            ask::TEMPLATE | ask::SCALAR => {
                let text = self.scalar_text(name == ask::TEMPLATE)?;
                self.placed(visitor.visit_seq(Chosen { node: Some(self.node.0), text: Some(text) }))
            }
            ask::MANY => match &self.tree.entry(self.node).kind {
                NodeKind::List(items) => self.placed(visitor.visit_seq(Items { reader: self, items: items.iter() })),
                _ => self.placed(visitor.visit_seq(Items { reader: self, items: [self.node].iter() })),
            },
            ask::FORM => self.pair(self.tree.scalar(self.node).is_some(), visitor),
            ask::VOIDABLE => {
                let scalar = self.tree.scalar(self.node).filter(|scalar| scalar.plain && scalar.original.is_none());
                self.pair(self.void || scalar.is_some_and(|scalar| matches!(plain(&scalar.text), Plain::Null)), visitor)
            }
            ask::FLAT => {
                let flat = self.entries()?.iter().any(|(_, value)| self.tree.scalar(*value).is_some());
                self.pair(flat, visitor)
            }
            ask::NODE => self.placed(visitor.visit_seq(Chosen { node: Some(self.node.0), text: None })),
            ask::NOT_YET => Err(self.not_yet()),
            _ => self.placed(visitor.visit_newtype_struct(self)),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.tree.entry(self.node).kind {
            NodeKind::List(items) => self.placed(visitor.visit_seq(Items { reader: self, items: items.iter() })),
            NodeKind::Scalar(scalar) if scalar.plain && scalar.text.is_empty() => Err(self.nothing()),
            _ => Err(self.wanted("a list")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let entries = self.entries()?.to_vec().into_iter();
        self.placed(visitor.visit_map(Mapping { reader: self, entries, value: None }))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let word = self.tree.scalar(self.node).filter(|scalar| scalar.plain).map(|scalar| scalar.text.as_str());
        if name == "Step" && word.is_some_and(|word| BARE_STEPS.contains(&word)) {
            return self.placed(visitor.visit_map(Bare(Some(Reader { key: true, ..self }), Reader { void: true, ..self })));
        }
        let entries = self.entries()?;
        let keys = keys_of(name);
        let mut known = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let text = self.tree.key(*key);
            if fields.contains(&text) {
                known.push((*key, *value));
            } else if !(name == "Profile" && text.starts_with("x-")) {
                self.unknown(*key, text, name, keys);
            }
        }
        if let (Some(keys), NodeKind::Map { removed, .. }) = (keys, &self.tree.entry(self.node).kind) {
            let has = |field: &String| removed.contains(field) || known.iter().any(|(key, _)| self.tree.key(*key) == field);
            let missing: Vec<&String> = keys.required.iter().filter(|field| !has(field)).collect();
            if !missing.is_empty() {
                let list: Vec<String> = missing.iter().map(|field| format!("`{field}`")).collect();
                self.notes.report(
                    self.tree,
                    self.node,
                    &format!("{} {} missing in {}", list.join(" and "), if list.len() == 1 { "is" } else { "are" }, words(name)),
                );
            }
        }
        self.placed(visitor.visit_map(Mapping { reader: self, entries: known.into_iter(), value: None }))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let text = self.scalar_text(false)?;
        self.placed(visitor.visit_enum(StrDeserializer::<Fault>::new(text)))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.placed(visitor.visit_unit())
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct
    }
}

impl Reader<'_> {
    fn unknown(&self, key: Node, text: &str, name: &str, keys: Option<&Keys>) {
        let known = keys.map(|keys| keys.known.as_slice()).unwrap_or_default();
        let near = nearest(text, known.iter().map(String::as_str));
        if let Some(near) = near {
            self.notes.misspelt.borrow_mut().insert((self.node, near.to_owned()));
        }
        let mut message = match near {
            Some(near) => format!("`{text}` is not a key of {}; did you mean `{near}`?", words(name)),
            None => format!("`{text}` is not a key of {}\nit has {}", words(name), known.join(", ")),
        };
        if text.contains(['(', ')', '[', ']', '"', '\'']) {
            message = format!("`{text}` is not a key of {}\n{}", words(name), crate::profile::yaml::QUOTES);
        }
        self.notes.report(self.tree, key, &message);
    }

    /// Refuses a key of the contract that this version lacks. The fault is the key's, so that the caret is under it.
    fn not_yet(&self) -> Fault {
        let holder = self.tree.nodes.iter().find_map(|entry| match &entry.kind {
            NodeKind::Map { entries, .. } => entries.iter().find(|(_, value)| *value == self.node).map(|(key, _)| *key),
            _ => None,
        });
        let key = holder.unwrap_or(self.node);
        Fault::new(key, format!("`{}` is not supported yet", self.tree.key(key)))
    }
}
