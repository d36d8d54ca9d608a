//! `message`: what came over a session's connection, as expressions see it. JSON is parsed when it is first asked for, and once.
//!
//! What a server broadcasts comes to every user of a worker in the same bytes. The last text is therefore kept for its worker: a user
//! who receives the same again shares what was parsed of it.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use minijinja::value::{Enumerator, Object};
use serde_json::Value as Json;

use super::Value;
use super::json::{self, Tree, from_json};
use super::names;

/// What a message holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Text, as UTF-8.
    Text(Bytes),
    /// Bytes.
    Binary(Bytes),
    /// An event of Socket.IO, or the answer to one, which has no name.
    Event {
        /// Its name.
        event: Option<String>,
        /// Its arguments. `{"_placeholder": true, "num": n}` stands for the n-th attachment.
        args: Vec<Json>,
        /// Bytes among the arguments.
        attachments: Vec<Bytes>,
    },
}

/// A message with what is derived from it, kept for the next expression.
#[derive(Debug)]
pub struct MessageObject {
    content: Content,
    tree: OnceLock<Option<Tree>>,
    json: OnceLock<Value>,
    text: OnceLock<Value>,
    args: OnceLock<Value>,
    /// How often its JSON was asked for in vain.
    vain: AtomicU32,
}

/// Texts up to this length are kept to be shared.
const SHARED: usize = 64 * 1024;

thread_local! {
    static LAST: RefCell<Option<Arc<MessageObject>>> = const { RefCell::new(None) };
}

impl MessageObject {
    /// A message that came.
    pub fn new(content: Content) -> Arc<Self> {
        if !matches!(&content, Content::Text(text) if text.len() <= SHARED) {
            return Arc::new(Self::unread(content));
        }
        LAST.with_borrow_mut(|last| match last {
            Some(same) if same.content == content => same.clone(),
            last => last.insert(Arc::new(Self::unread(content))).clone(),
        })
    }

    fn unread(content: Content) -> Self {
        Self {
            content,
            tree: OnceLock::new(),
            json: OnceLock::new(),
            text: OnceLock::new(),
            args: OnceLock::new(),
            vain: AtomicU32::new(0),
        }
    }

    /// What it holds.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Its JSON: that of its text, or the first argument of an event.
    pub fn tree(&self) -> Option<&Tree> {
        let read = || match &self.content {
            Content::Text(bytes) | Content::Binary(bytes) => Tree::parse(bytes),
            Content::Event { args, .. } => args.first().cloned().map(Tree::of),
        };
        let tree = self.tree.get_or_init(read).as_ref();
        if tree.is_none() && !matches!(self.content, Content::Event { .. }) {
            self.vain.fetch_add(1, Ordering::Relaxed);
        }
        tree
    }

    /// How often its JSON was asked for, and there is none.
    pub fn vain_looks(&self) -> u32 {
        self.vain.load(Ordering::Relaxed)
    }

    /// Its text: of an event the first argument, if that is a text.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(bytes) | Content::Binary(bytes) => std::str::from_utf8(bytes).ok(),
            Content::Event { args, .. } => args.first()?.as_str().filter(|text| json::digits(text).is_none()),
        }
    }

    /// Its bytes: of an event its first attachment.
    fn bytes(&self) -> Option<&Bytes> {
        match &self.content {
            Content::Text(bytes) | Content::Binary(bytes) => Some(bytes),
            Content::Event { attachments, .. } => attachments.first(),
        }
    }

    fn json(&self) -> Value {
        let tree = self.tree();
        let made = || match &self.content {
            Content::Event { args, attachments, .. } => args.first().map_or(Value::UNDEFINED, |arg| filled(arg, attachments)),
            _ => tree.map_or(Value::UNDEFINED, Tree::value),
        };
        self.json.get_or_init(made).clone()
    }

    fn args(&self) -> Value {
        let Content::Event { args, attachments, .. } = &self.content else { return Value::UNDEFINED };
        self.args.get_or_init(|| args.iter().map(|arg| filled(arg, attachments)).collect()).clone()
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        let value = match name {
            "text" => self.text.get_or_init(|| self.text().map_or(Value::UNDEFINED, Value::from)).clone(),
            "json" => self.json(),
            "bytes" => Value::from_bytes(self.bytes()?.to_vec()),
            "args" => self.args(),
            "event" => match &self.content {
                Content::Event { event, .. } => Value::from(event.as_deref()?),
                _ => return None,
            },
            _ => return None,
        };
        Some(value).filter(|value| !value.is_undefined())
    }
}

/// An argument with its attachments in their places.
fn filled(arg: &Json, attachments: &[Bytes]) -> Value {
    if attachments.is_empty() {
        return from_json(arg);
    }
    match arg {
        Json::Object(entries) => {
            let place = (entries.get("_placeholder") == Some(&Json::Bool(true))).then(|| entries.get("num")).flatten();
            if let Some(bytes) = place.and_then(Json::as_u64).and_then(|n| attachments.get(usize::try_from(n).ok()?)) {
                return Value::from_bytes(bytes.to_vec());
            }
            Value::from_pairs(entries.iter().map(|(key, value)| (key.as_str(), filled(value, attachments))))
        }
        Json::Array(items) => items.iter().map(|item| filled(item, attachments)).collect(),
        arg => from_json(arg),
    }
}

impl Object for MessageObject {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.attribute(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.attribute(key)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&names::MESSAGE)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Compiler, Extract, Names, ScenarioValues, Scope};
    use super::*;

    fn text(text: &str) -> Arc<MessageObject> {
        MessageObject::new(Content::Text(Bytes::copy_from_slice(text.as_bytes())))
    }

    fn event(args: Json, attachments: &[&'static [u8]]) -> Arc<MessageObject> {
        let Json::Array(args) = args else { panic!("a list") };
        let attachments = attachments.iter().map(|bytes| Bytes::from_static(bytes)).collect();
        MessageObject::new(Content::Event { event: Some("update".into()), args, attachments })
    }

    fn value(message: &Arc<MessageObject>, expression: &str) -> Value {
        let mut scope = Scope::new(Arc::new(ScenarioValues::default()), 0);
        scope.set_message(Some(message.clone()));
        Compiler::new().expression(expression, &Names::new().with_message()).unwrap().value(&scope).unwrap()
    }

    #[test]
    fn texts_bytes_and_events_have_what_their_kind_has() {
        let update = text(r#"{"seq": 7, "at": {"s": 1.5}}"#);
        assert_eq!(value(&update, "message.json.seq + 1"), Value::from(8));
        assert_eq!(value(&update, "message.json.at.s"), Value::from(1.5));
        assert!(value(&update, "message.event").is_undefined() && value(&update, "message.args").is_undefined());
        assert_eq!(value(&text("plain"), "message.text"), Value::from("plain"));
        assert!(value(&text("plain"), "message.json").is_undefined());
        let bytes = MessageObject::new(Content::Binary(Bytes::from_static(b"\xff\x00")));
        assert_eq!(value(&bytes, "message.bytes | length"), Value::from(2));
        assert!(value(&bytes, "message.text").is_undefined());
        let update = event(json!([{"seq": 7, "file": {"_placeholder": true, "num": 0}}, "b"]), &[b"\x01\x02\x03"]);
        assert_eq!(value(&update, "message.event"), Value::from("update"));
        assert_eq!(value(&update, "message.json.seq"), Value::from(7));
        assert_eq!(value(&update, "message.args[1]"), Value::from("b"));
        assert_eq!(value(&update, "message.json.file | length"), Value::from(3));
    }

    #[test]
    fn the_same_text_is_parsed_once_on_a_worker() {
        let first = text(r#"{"seq": 1}"#);
        assert!(Arc::ptr_eq(&first, &text(r#"{"seq": 1}"#)));
        let second = text(r#"{"seq": 2}"#);
        assert!(!Arc::ptr_eq(&first, &second));
        assert_eq!(value(&first, "message.json.seq"), Value::from(1));
        let long = "x".repeat(SHARED + 1);
        assert!(!Arc::ptr_eq(&text(&long), &text(&long)), "what is long isn't kept");
    }

    #[test]
    fn values_are_taken_out_of_messages() {
        let update = text(r#"{"id": "v7", "tags": ["a", "b"]}"#);
        let json = |path: &str, all| Extract::json(path, all, false).unwrap().from_message(&update).unwrap();
        assert_eq!(json("$.id", false), Some(Value::from("v7")));
        assert_eq!(json("$.tags[*]", true).unwrap().len(), Some(2));
        assert_eq!(json("$.none", false), None);
        let regex = Extract::regex("id=(\\d+)", true).unwrap();
        assert_eq!(regex.from_message(&text("id=42;")).unwrap(), Some(Value::from("42")));
        assert!(regex.from_message(&text("nothing")).is_err());
        let of_event = Extract::json("$.seq", false, false).unwrap().from_message(&event(json!([{"seq": 7}]), &[])).unwrap();
        assert_eq!(of_event, Some(Value::from(7)));
    }

    #[test]
    fn moments_and_numbers() {
        let at = |message: &str, expression: &str| {
            let mut scope = Scope::new(Arc::new(ScenarioValues::default()), 0);
            scope.set_message(Some(text(message)));
            let expression = Compiler::new().expression(expression, &Names::new().with_message()).unwrap();
            (expression.moment(&scope).ok(), expression.whole(&scope).ok())
        };
        assert_eq!(at("1700000000.5", "message.json"), (Some(1_700_000_000.5), None));
        assert_eq!(at("1700000000500", "message.json"), (Some(1_700_000_000.5), Some(1_700_000_000_500)));
        assert_eq!(at("2023-11-14T22:13:20.5Z", "message.text"), (Some(1_700_000_000.5), None));
        assert_eq!(at("7", "message.json"), (Some(7.0), Some(7)));
        assert_eq!(at("{}", "message.json.seq"), (None, None));
    }
}
