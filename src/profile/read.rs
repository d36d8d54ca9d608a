//! From nodes to the written types: a serde deserializer that reports every problem instead of the first.
//!
//! serde gives up a value at its first mistake. So a pass that fails takes the smallest node that failed out of the tree,
//! and the next pass goes on without it, until one succeeds; what is only missing because it was taken out is not told.
//! Unknown and missing keys are told for a whole mapping at once: the known ones are in the JSON Schema of the same type.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::OnceLock;

use schemars::JsonSchema;
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};

use super::diagnostic::Diagnostic;
use super::tree::{Kind, Tree};
use super::values::{Plain, plain};
use crate::base::names::nearest;
use crate::base::written::{Node, ask};

/// Reads a type from the node, takes out of the tree what can't be read, and tells why.
pub(super) fn read<T: DeserializeOwned + JsonSchema>(
    tree: &mut Tree,
    node: Node,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<T> {
    let notes = Notes::default();
    let result = loop {
        let fault = match T::deserialize(Reader { tree, notes: &notes, node, key: false }) {
            Ok(value) => break Some(value),
            Err(fault) => fault,
        };
        let at = fault.node.unwrap_or(node);
        if let Some(message) = fault.message {
            notes.tell(tree, at, &message);
        }
        if at == node || !tree.remove(at) {
            break None;
        }
    };
    diagnostics.append(&mut notes.diagnostics.into_inner());
    result
}

/// What has been told so far.
#[derive(Default)]
struct Notes {
    diagnostics: RefCell<Vec<Diagnostic>>,
    told: RefCell<BTreeSet<(Node, String)>>,
}

impl Notes {
    /// Tells a problem once. What stands after a newline is the hint.
    fn tell(&self, tree: &Tree, node: Node, message: &str) {
        if !self.told.borrow_mut().insert((node, message.to_owned())) {
            return;
        }
        let (message, help) = message.split_once('\n').map_or((message, None), |(message, help)| (message, Some(help)));
        let mut diagnostic = Diagnostic::error(tree.place(node), message);
        diagnostic.help = help.map(str::to_owned);
        self.diagnostics.borrow_mut().push(diagnostic);
    }
}

/// Why a value can't be read.
#[derive(Debug)]
struct Fault {
    /// Nothing if it has been told, or follows from what has been.
    message: Option<String>,
    node: Option<Node>,
}

impl Fault {
    fn new(node: Node, message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), node: Some(node) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message.as_deref().unwrap_or("already told"))
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: Some(message.to_string()), node: None }
    }

    fn missing_field(_: &'static str) -> Self {
        // Told for the whole mapping beforehand.
        Self { message: None, node: None }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(not_among(variant, expected.iter().copied()))
    }
}

/// "`x` is none of …", with the nearest if there is one.
pub(super) fn not_among<'a>(text: &str, expected: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(text, expected.clone()) {
        Some(name) => format!("`{text}` is not known here; did you mean `{name}`?"),
        None => {
            let list: Vec<String> = expected.into_iter().map(|name| format!("`{name}`")).collect();
            format!("`{text}` is not known here; it is one of {}", list.join(", "))
        }
    }
}

/// The keys of a written type, as its schema tells them.
#[derive(Default)]
struct Keys {
    known: Vec<String>,
    required: Vec<String>,
}

/// The keys of all written types by their names.
fn keys_of(name: &str) -> Option<&'static Keys> {
    static KEYS: OnceLock<BTreeMap<String, Keys>> = OnceLock::new();
    let all = KEYS.get_or_init(|| {
        let schema = super::schema();
        let names = |value: Option<&serde_json::Value>| -> Vec<String> {
            match value {
                Some(serde_json::Value::Object(map)) => map.keys().cloned().collect(),
                Some(serde_json::Value::Array(list)) => list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
                _ => Vec::new(),
            }
        };
        let keys =
            |schema: &serde_json::Value| Keys { known: names(schema.get("properties")), required: names(schema.get("required")) };
        let mut all = BTreeMap::new();
        if let Some(serde_json::Value::Object(definitions)) = schema.get("$defs") {
            all.extend(definitions.iter().map(|(name, schema)| (name.clone(), keys(schema))));
        }
        all.insert("Profile".to_owned(), keys(&schema));
        all
    });
    all.get(name)
}

/// A written type as a person calls it.
fn words(name: &str) -> String {
    // Those that stand once, under a key of their own, are called by it.
    if matches!(name, "Prometheus" | "Observe" | "Limits" | "Tls" | "Scale" | "Defaults" | "Expect" | "Connections") {
        return format!("`{}`", name.to_ascii_lowercase());
    }
    let mut words = String::new();
    for (at, c) in name.char_indices() {
        if c.is_ascii_uppercase() && at > 0 {
            words.push(' ');
        }
        words.push(c.to_ascii_lowercase());
    }
    let words = words.replace("slo", "SLO");
    let article = if words.starts_with(['a', 'e', 'i', 'o', 'h', 'S']) { "an" } else { "a" };
    format!("{article} {words}")
}

/// Reads one node.
#[derive(Clone, Copy)]
struct Reader<'t> {
    tree: &'t Tree,
    notes: &'t Notes,
    node: Node,
    /// It is the key of a mapping: a text, whatever it looks like.
    key: bool,
}

impl<'t> Reader<'t> {
    fn fault(&self, message: impl Into<String>) -> Fault {
        Fault::new(self.node, message)
    }

    fn child(&self, node: Node) -> Self {
        Self { node, key: false, ..*self }
    }

    /// What stands here, for "… is wanted, this is …".
    fn found(&self) -> String {
        match &self.tree.entry(self.node).kind {
            Kind::List(_) => "a list".into(),
            Kind::Map { .. } => "a mapping".into(),
            Kind::Scalar(scalar) if !scalar.plain => format!("the text `{}`", self.shown(&scalar.text)),
            Kind::Scalar(scalar) => match plain(&scalar.text) {
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
        scalar.text.parse().map_err(|_| self.wanted(what))
    }

    /// Puts the place to a fault that has none yet.
    fn placed<T>(&self, result: Result<T, Fault>) -> Result<T, Fault> {
        result.map_err(|fault| Fault { node: fault.node.or(Some(self.node)), ..fault })
    }

    fn entries(&self) -> Result<&'t [(Node, Node)], Fault> {
        match &self.tree.entry(self.node).kind {
            Kind::Map { entries, .. } => Ok(entries),
            Kind::Scalar(scalar) if scalar.plain && scalar.text.is_empty() => Err(self.nothing()),
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
            Kind::List(_) => self.deserialize_seq(visitor),
            Kind::Map { .. } => self.deserialize_map(visitor),
            Kind::Scalar(scalar) if self.key || !scalar.plain => self.placed(visitor.visit_str(&scalar.text)),
            Kind::Scalar(scalar) => self.placed(match plain(&scalar.text) {
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
                Kind::List(items) => self.placed(visitor.visit_seq(Items { reader: self, items: items.iter() })),
                _ => self.placed(visitor.visit_seq(Items { reader: self, items: [self.node].iter() })),
            },
            ask::FORM => self.pair(self.tree.scalar(self.node).is_some(), visitor),
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
            Kind::List(items) => self.placed(visitor.visit_seq(Items { reader: self, items: items.iter() })),
            Kind::Scalar(scalar) if scalar.plain && scalar.text.is_empty() => Err(self.nothing()),
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
        if let (Some(keys), Kind::Map { removed, .. }) = (keys, &self.tree.entry(self.node).kind) {
            let has = |field: &String| removed.contains(field) || known.iter().any(|(key, _)| self.tree.key(*key) == field);
            let missing: Vec<&String> = keys.required.iter().filter(|field| !has(field)).collect();
            if !missing.is_empty() {
                let list: Vec<String> = missing.iter().map(|field| format!("`{field}`")).collect();
                self.notes.tell(
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
        let mut message = match nearest(text, known.iter().map(String::as_str)) {
            Some(near) => format!("`{text}` is not a key of {}; did you mean `{near}`?", words(name)),
            None => format!("`{text}` is not a key of {}\nit has {}", words(name), known.join(", ")),
        };
        if text.contains(['(', ')', '[', ']', '"', '\'']) {
            message = format!("`{text}` is not a key of {}\n{}", words(name), super::yaml::QUOTES);
        }
        self.notes.tell(self.tree, key, &message);
    }

    /// Refuses a key of the contract that this version lacks. The fault is the key's, so that the caret is under it.
    fn not_yet(&self) -> Fault {
        let holder = self.tree.nodes.iter().find_map(|entry| match &entry.kind {
            Kind::Map { entries, .. } => entries.iter().find(|(_, value)| *value == self.node).map(|(key, _)| *key),
            _ => None,
        });
        let key = holder.unwrap_or(self.node);
        Fault::new(key, format!("`{}` is not supported yet", self.tree.key(key)))
    }
}
