//! The filters and tests of templates: minijinja's, each behind a guard against undefined and null, and those that compare
//! done anew on [`super::strict`].
//!
//! The environment starts empty, so that nothing is reachable (not by `map("sort")` either) that isn't in these tables.

use std::sync::Arc;

use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior, filters, tests};
use sha2::{Digest, Sha256};

use super::Value;
use super::response::hex;
use super::strict::{self, Comparison, Refused};
use super::text::{percent_encode, to_bytes, to_text, write_json, write_text};

/// The environment that filters and tests run in, and their names for messages.
#[derive(Debug)]
pub(super) struct Library {
    pub(super) environment: Environment<'static>,
    pub(super) filters: Vec<&'static str>,
    pub(super) tests: Vec<&'static str>,
}

/// What a filter or test may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// Nothing undefined, nothing null.
    Present,
    /// Null, but nothing undefined.
    Defined,
    /// Anything.
    Any,
}

/// A refusal of our own, whose message is known to hold no value. minijinja's own messages may hold some and aren't shown.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Safe(Refused);

fn refuse(message: Refused) -> Error {
    Error::from(ErrorKind::InvalidOperation).with_source(Safe(message))
}

/// What an error of a filter or test may show.
pub(super) fn explain(error: &Error) -> String {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(Safe(message)) = inner.downcast_ref::<Safe>() {
            return message.clone();
        }
        cause = inner.source();
    }
    match error.kind() {
        ErrorKind::MissingArgument => "lacks an argument".into(),
        ErrorKind::TooManyArguments => "has too many arguments".into(),
        ErrorKind::UndefinedError => "uses something undefined".into(),
        ErrorKind::UnknownFilter => "names a filter that doesn't exist".into(),
        ErrorKind::UnknownTest => "names a test that doesn't exist".into(),
        _ => "can't be done with such a value".into(),
    }
}

fn check(guard: Guard, args: &[Value]) -> Result<(), Error> {
    for arg in args {
        let allowed = match arg.kind() {
            ValueKind::Undefined => guard == Guard::Any,
            ValueKind::None => guard != Guard::Present,
            ValueKind::Invalid => false,
            _ => true,
        };
        if !allowed {
            return Err(refuse(format!("uses a value that is {}", strict::kind_of(arg))));
        }
    }
    Ok(())
}

/// Refuses what a filter would make of a little, before it does: minijinja's have no bound.
fn bound(filter: &str, args: &[Value]) -> Result<(), Refused> {
    let text = |at: usize| args.get(at).and_then(Value::as_str);
    let number = |at: usize, name: &str| {
        let named = args.last().and_then(|last| Kwargs::try_from(last.clone()).ok());
        args.get(at).and_then(Value::as_usize).or_else(|| named?.peek(name).ok())
    };
    match (filter, text(0)) {
        ("replace", Some(all)) => {
            let (from, to) = (text(1).unwrap_or_default(), text(2).unwrap_or_default());
            strict::within_limit(all.len().saturating_add(all.matches(from).count().saturating_mul(to.len())))
        }
        ("indent", Some(all)) => {
            let width = number(1, "width").unwrap_or_default();
            strict::within_limit(all.len().saturating_add(all.lines().count().saturating_mul(width)))
        }
        ("list" | "split" | "lines", Some(all)) => strict::within_parts(all.len()),
        ("batch" | "slice", _) => strict::within_parts(number(1, "count").unwrap_or_default()),
        _ => Ok(()),
    }
}

impl Library {
    pub(super) fn new() -> Arc<Self> {
        let mut environment = Environment::empty();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_debug(false);
        let mut library = Self { environment, filters: Vec::new(), tests: Vec::new() };
        library.add_filters();
        library.add_ordering_filters();
        library.add_text_filters();
        library.add_tests();
        library.add_comparing_tests();
        Arc::new(library)
    }

    fn filter(&mut self, name: &'static str, guard: Guard, inner: Value) {
        self.filters.push(name);
        self.environment.add_filter(name, move |state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>| {
            let args = args.into_values();
            check(guard, &args)?;
            bound(name, &args).map_err(refuse)?;
            let result = inner.call(state, &args)?;
            strict::bounded(result).map_err(refuse)
        });
    }

    fn test(&mut self, name: &'static str, guard: Guard, inner: Value) {
        self.tests.push(name);
        self.environment.add_test(name, move |state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>| {
            let args = args.into_values();
            check(guard, &args)?;
            inner.call(state, &args).map(|value| value.is_true())
        });
    }

    fn add_filters(&mut self) {
        use Guard::{Any, Defined, Present};
        let function = [
            ("lower", Present, Value::from_function(filters::lower)),
            ("upper", Present, Value::from_function(filters::upper)),
            ("title", Present, Value::from_function(filters::title)),
            ("capitalize", Present, Value::from_function(filters::capitalize)),
            ("replace", Present, Value::from_function(filters::replace)),
            ("length", Present, Value::from_function(filters::length)),
            ("count", Present, Value::from_function(filters::length)),
            ("items", Present, Value::from_function(filters::items)),
            ("reverse", Present, Value::from_function(filters::reverse)),
            ("trim", Present, Value::from_function(filters::trim)),
            ("split", Present, Value::from_function(filters::split)),
            ("lines", Present, Value::from_function(filters::lines)),
            ("default", Any, Value::from_function(filters::default)),
            ("d", Any, Value::from_function(filters::default)),
            ("round", Present, Value::from_function(filters::round)),
            ("abs", Present, Value::from_function(filters::abs)),
            ("int", Present, Value::from_function(filters::int)),
            ("float", Present, Value::from_function(filters::float)),
            ("attr", Present, Value::from_function(filters::attr)),
            ("first", Present, Value::from_function(filters::first)),
            ("last", Present, Value::from_function(filters::last)),
            ("list", Present, Value::from_function(filters::list)),
            ("bool", Defined, Value::from_function(filters::bool)),
            ("batch", Present, Value::from_function(filters::batch)),
            ("slice", Present, Value::from_function(filters::slice)),
            ("sum", Present, Value::from_function(filters::sum)),
            ("indent", Present, Value::from_function(filters::indent)),
            ("select", Present, Value::from_function(filters::select)),
            ("reject", Present, Value::from_function(filters::reject)),
            ("selectattr", Present, Value::from_function(filters::selectattr)),
            ("rejectattr", Present, Value::from_function(filters::rejectattr)),
            ("map", Present, Value::from_function(filters::map)),
            ("groupby", Present, Value::from_function(filters::groupby)),
            ("unique", Present, Value::from_function(filters::unique)),
            ("chain", Present, Value::from_function(filters::chain)),
            ("zip", Present, Value::from_function(filters::zip)),
        ];
        for (name, guard, inner) in function {
            self.filter(name, guard, inner);
        }
    }

    /// Filters that put values in order: those of unlike types have none.
    fn add_ordering_filters(&mut self) {
        type Inner = fn(&State<'_, '_>, Value, Kwargs) -> Result<Value, Error>;
        let inner: [(&'static str, Inner); 3] = [("min", filters::min), ("max", filters::max), ("sort", filters::sort)];
        for (name, inner) in inner {
            let guarded = move |state: &State<'_, '_>, value: Value, kwargs: Kwargs| {
                let attribute: Option<Value> = kwargs.peek("attribute")?;
                assert_ordered(&value, attribute.as_ref().and_then(Value::as_str))?;
                inner(state, value, kwargs)
            };
            self.filter(name, Guard::Present, Value::from_function(guarded));
        }
        let dictsort = |value: &Value, kwargs: Kwargs| {
            let by: Option<Value> = kwargs.peek("by")?;
            let mut ordered = strict::items(value).map_err(refuse)?;
            if by.is_some_and(|by| by.as_str() == Some("value")) {
                ordered = ordered.iter().map(|key| value.get_item(key)).collect::<Result<_, _>>()?;
            }
            strict::assert_ordered(&ordered).map_err(refuse)?;
            filters::dictsort(value, kwargs)
        };
        self.filter("dictsort", Guard::Present, Value::from_function(dictsort));
    }

    /// Filters that make text, by our rules for text.
    fn add_text_filters(&mut self) {
        let text = |value: &Value| to_text(value).map_err(refuse);
        let json = |value: &Value| {
            let mut out = String::new();
            write_json(value, &mut out).map_err(refuse)?;
            Ok::<_, Error>(out)
        };
        let join = |value: &Value, separator: Option<String>| {
            let mut out = String::new();
            for (i, item) in strict::items(value).map_err(refuse)?.iter().enumerate() {
                out.push_str(separator.as_deref().filter(|_| i > 0).unwrap_or_default());
                write_text(item, &mut out).and_then(|()| strict::within_limit(out.len())).map_err(refuse)?;
            }
            Ok::<_, Error>(out)
        };
        let digest = |value: &Value| to_bytes(value).map(|bytes| hex(&Sha256::digest(bytes))).map_err(refuse);
        let base64 = |value: &Value| to_bytes(value).map(|bytes| encode_base64(&bytes)).map_err(refuse);
        let encode = |value: &Value| to_bytes(value).map(|bytes| percent_encode(&bytes)).map_err(refuse);
        self.filter("string", Guard::Present, Value::from_function(text));
        self.filter("tojson", Guard::Defined, Value::from_function(json));
        self.filter("join", Guard::Present, Value::from_function(join));
        self.filter("sha256", Guard::Present, Value::from_function(digest));
        self.filter("base64", Guard::Present, Value::from_function(base64));
        self.filter("urlencode", Guard::Present, Value::from_function(encode));
    }

    fn add_tests(&mut self) {
        use Guard::{Any, Defined, Present};
        let function = [
            ("defined", Any, Value::from_function(tests::is_defined)),
            ("undefined", Any, Value::from_function(tests::is_undefined)),
            ("none", Any, Value::from_function(tests::is_none)),
            ("boolean", Defined, Value::from_function(tests::is_boolean)),
            ("number", Defined, Value::from_function(tests::is_number)),
            ("integer", Defined, Value::from_function(tests::is_integer)),
            ("float", Defined, Value::from_function(tests::is_float)),
            ("string", Defined, Value::from_function(tests::is_string)),
            ("sequence", Defined, Value::from_function(tests::is_sequence)),
            ("iterable", Defined, Value::from_function(tests::is_iterable)),
            ("mapping", Defined, Value::from_function(tests::is_mapping)),
            ("true", Defined, Value::from_function(tests::is_true)),
            ("false", Defined, Value::from_function(tests::is_false)),
            ("odd", Present, Value::from_function(tests::is_odd)),
            ("even", Present, Value::from_function(tests::is_even)),
            ("divisibleby", Present, Value::from_function(tests::is_divisibleby)),
            ("startingwith", Present, Value::from_function(tests::is_startingwith)),
            ("endingwith", Present, Value::from_function(tests::is_endingwith)),
            ("lower", Present, Value::from_function(tests::is_lower)),
            ("upper", Present, Value::from_function(tests::is_upper)),
        ];
        for (name, guard, inner) in function {
            self.test(name, guard, inner);
        }
    }

    fn add_comparing_tests(&mut self) {
        let names = [
            (Comparison::Equal, ["eq", "equalto", "=="]),
            (Comparison::Unequal, ["ne", "ne", "!="]),
            (Comparison::Less, ["lt", "lessthan", "<"]),
            (Comparison::LessOrEqual, ["le", "le", "<="]),
            (Comparison::Greater, ["gt", "greaterthan", ">"]),
            (Comparison::GreaterOrEqual, ["ge", "ge", ">="]),
            (Comparison::In, ["in", "in", "in"]),
        ];
        for (op, aliases) in names {
            for name in aliases {
                let compare = move |a: &Value, b: &Value| strict::compare(op, a, b).map_err(refuse);
                self.test(name, Guard::Present, Value::from_function(compare));
            }
        }
    }
}

fn assert_ordered(list: &Value, attribute: Option<&str>) -> Result<(), Error> {
    let mut ordered = strict::items(list).map_err(refuse)?;
    if let Some(path) = attribute {
        for item in &mut ordered {
            for name in path.split('.') {
                *item = item.get_attr(name)?;
            }
        }
    }
    strict::assert_ordered(&ordered).map_err(refuse)
}

/// Base64 of RFC 4648 with padding.
pub(super) fn encode_base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Calls a filter with its input and arguments.
pub(super) fn apply(library: &Library, name: &str, args: &[Value]) -> Result<Value, String> {
    let result = library.environment.empty_state().apply_filter(name, args).map_err(|error| explain(&error))?;
    match result.kind() {
        ValueKind::Invalid => Err("can't be done with such a value".into()),
        _ => Ok(result),
    }
}

/// Asks a test about a value.
pub(super) fn ask(library: &Library, name: &str, args: &[Value]) -> Result<bool, String> {
    library.environment.empty_state().perform_test(name, args).map_err(|error| explain(&error))
}

/// Wraps keyword arguments as minijinja's filters take them.
pub(super) fn keywords(pairs: Vec<(&str, Value)>) -> Value {
    Value::from(pairs.into_iter().collect::<Kwargs>())
}
