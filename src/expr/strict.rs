//! Operators, as strict as profiles are promised: what is undefined or null is never compared, calculated with or contained,
//! and unlike types are never ordered.
//!
//! Every comparison of a template ends here: operators by the evaluator, tests (`is gt`, `select("==", 1)`) and sorting
//! filters by [`super::library`]. Refusals name kinds, never values.

use std::cmp::Ordering;

use minijinja::value::ValueKind;

use super::Value;
use super::number::Digits;

/// Why an operation was refused, as the rest of a sentence that begins with the expression.
pub(super) type Refused = String;

/// The longest text that an operator may make, in bytes.
const TEXT_LIMIT: usize = 16 << 20;
/// How deep lists within lists may go where values are compared.
const DEPTH: usize = 64;

/// What kind of value this is, in a profile author's words.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value.kind() {
        ValueKind::Undefined => "undefined",
        ValueKind::None => "null",
        ValueKind::Bool => "a boolean",
        ValueKind::Number => "a number",
        ValueKind::String => "a text",
        ValueKind::Bytes => "binary data",
        ValueKind::Seq | ValueKind::Iterable => "a list",
        ValueKind::Map => "a mapping",
        ValueKind::Invalid => "an invalid value",
        _ => value.downcast_object_ref::<Digits>().map_or("an object", Digits::kind),
    }
}

/// A value to do something with: `-0`, which is kept as it is written, is 0.
pub(super) fn usable(value: Value) -> Value {
    if value.downcast_object_ref::<Digits>().is_some_and(Digits::is_zero) { Value::from(0) } else { value }
}

/// Whether there is a value: neither undefined nor null nor an error in disguise.
pub(super) fn is_present(value: &Value) -> bool {
    !matches!(value.kind(), ValueKind::Undefined | ValueKind::None | ValueKind::Invalid)
}

fn both_present(a: &Value, b: &Value, what: &str) -> Result<(), Refused> {
    match (is_present(a), is_present(b)) {
        (true, true) => Ok(()),
        (false, _) => Err(format!("{what} {}", kind_of(a))),
        (_, false) => Err(format!("{what} {}", kind_of(b))),
    }
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
}

impl Comparison {
    /// As it is written.
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Comparison::Equal => "==",
            Comparison::Unequal => "!=",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
            Comparison::In => "in",
            Comparison::NotIn => "not in",
        }
    }
}

/// Whether a comparison of two values holds.
pub(super) fn compare(op: Comparison, a: &Value, b: &Value) -> Result<bool, Refused> {
    match op {
        Comparison::Equal => equal(a, b),
        Comparison::Unequal => equal(a, b).map(|same| !same),
        Comparison::Less => order(a, b, 0).map(|o| o == Some(Ordering::Less)),
        Comparison::LessOrEqual => order(a, b, 0).map(|o| matches!(o, Some(Ordering::Less | Ordering::Equal))),
        Comparison::Greater => order(a, b, 0).map(|o| o == Some(Ordering::Greater)),
        Comparison::GreaterOrEqual => order(a, b, 0).map(|o| matches!(o, Some(Ordering::Greater | Ordering::Equal))),
        Comparison::In => contains(b, a),
        Comparison::NotIn => contains(b, a).map(|found| !found),
    }
}

/// Equality. Unlike types are unequal; `1 == 1.0`. Within lists and mappings null equals null.
fn equal(a: &Value, b: &Value) -> Result<bool, Refused> {
    both_present(a, b, "compares")?;
    Ok(a == b)
}

/// The order of two values of one type; `None` where a NaN is involved, with which nothing compares.
fn order(a: &Value, b: &Value, depth: usize) -> Result<Option<Ordering>, Refused> {
    both_present(a, b, "compares")?;
    if is_list(a) && is_list(b) {
        return order_lists(a, b, depth);
    }
    match (a.kind(), b.kind()) {
        (ValueKind::Number, ValueKind::Number) => Ok((!is_nan(a) && !is_nan(b)).then(|| a.cmp(b))),
        (ValueKind::String, ValueKind::String) => Ok(Some(a.as_str().cmp(&b.as_str()))),
        (ValueKind::Bytes, ValueKind::Bytes) => Ok(Some(a.as_bytes().cmp(&b.as_bytes()))),
        (ValueKind::Bool, ValueKind::Bool) => Ok(Some(a.is_true().cmp(&b.is_true()))),
        (x, y) if x == y => Err(format!("orders {}, which has no order", kind_of(a))),
        _ => Err(format!("orders {} and {}; convert one of them, with | int, | float or | string", kind_of(a), kind_of(b))),
    }
}

fn is_list(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

fn is_nan(value: &Value) -> bool {
    !value.is_integer() && f64::try_from(value.clone()).is_ok_and(f64::is_nan)
}

fn order_lists(a: &Value, b: &Value, depth: usize) -> Result<Option<Ordering>, Refused> {
    if depth > DEPTH {
        return Err("compares lists that are nested too deep".into());
    }
    let mut right = items(b)?.into_iter();
    for x in items(a)? {
        let Some(y) = right.next() else { return Ok(Some(Ordering::Greater)) };
        match order(&x, &y, depth + 1)? {
            Some(Ordering::Equal) => {}
            decided => return Ok(decided),
        }
    }
    Ok(Some(if right.next().is_some() { Ordering::Less } else { Ordering::Equal }))
}

/// The items of a list, or the keys of a mapping.
pub(super) fn items(value: &Value) -> Result<Vec<Value>, Refused> {
    if !matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable | ValueKind::Map) {
        return Err(format!("goes through {}, which is no list", kind_of(value)));
    }
    let iterator = value.try_iter().map_err(|_| format!("goes through {}, which is no list", kind_of(value)))?;
    let mut found = Vec::new();
    for item in iterator {
        if item.kind() == ValueKind::Invalid {
            return Err("goes through a list with an invalid value".into());
        }
        found.push(item);
    }
    Ok(found)
}

/// That values can be put in order: all of one ordered type.
pub(super) fn assert_ordered(values: &[Value]) -> Result<(), Refused> {
    match values {
        [only] if !is_present(only) => Err(format!("compares {}", kind_of(only))),
        values => values.windows(2).try_for_each(|pair| order(&pair[0], &pair[1], 0).map(|_| ())),
    }
}

/// `item in container`: a text within a text, an item of a list, a key of a mapping.
fn contains(container: &Value, item: &Value) -> Result<bool, Refused> {
    both_present(item, container, "compares")?;
    match container.kind() {
        ValueKind::String => match item.as_str() {
            Some(part) => Ok(container.as_str().is_some_and(|text| text.contains(part))),
            None => Err(format!("looks for {} in a text; convert it with | string", kind_of(item))),
        },
        ValueKind::Seq | ValueKind::Iterable => Ok(items(container)?.contains(item)),
        ValueKind::Map => Ok(container.get_item(item).is_ok_and(|found| !found.is_undefined())),
        _ => Err(format!("looks for something in {}", kind_of(container))),
    }
}

/// Whether a value holds as a condition. Null doesn't; undefined can't be said.
pub(super) fn truth(value: &Value) -> Result<bool, Refused> {
    match value.kind() {
        ValueKind::Undefined | ValueKind::Invalid => Err(format!("is {} and so neither true nor false", kind_of(value))),
        _ => Ok(value.is_true()),
    }
}

/// An arithmetic operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Math {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Rem,
    Pow,
}

/// The operands of a calculation: integers as long as both are, else floats.
enum Numbers {
    Integers(i128, i128),
    Floats(f64, f64),
}

fn integer(value: &Value) -> Option<i128> {
    (value.is_integer() || value.kind() == ValueKind::Bool).then(|| i128::try_from(value.clone()).ok()).flatten()
}

fn float(value: &Value) -> Option<f64> {
    match value.kind() {
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        ValueKind::Number => f64::try_from(value.clone()).ok(),
        _ => None,
    }
}

fn numbers(a: &Value, b: &Value) -> Option<Numbers> {
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => Some(Numbers::Integers(a, b)),
        _ => Some(Numbers::Floats(float(a)?, float(b)?)),
    }
}

fn from_integer(number: i128) -> Value {
    i64::try_from(number).map_or_else(|_| Value::from(number), Value::from)
}

/// The result of a calculation. Texts add up, too, and a text times a number repeats; lists add up.
pub(super) fn calculate(op: Math, a: &Value, b: &Value) -> Result<Value, Refused> {
    both_present(a, b, "calculates with")?;
    match (op, a.kind(), b.kind()) {
        (Math::Add, ValueKind::String, ValueKind::String) => {
            let (a, b) = (a.as_str().unwrap_or_default(), b.as_str().unwrap_or_default());
            within_limit(a.len() + b.len())?;
            return Ok(Value::from([a, b].concat()));
        }
        (Math::Add, _, _) if is_list(a) && is_list(b) => {
            let mut all = items(a)?;
            all.extend(items(b)?);
            return bounded(Value::from(all));
        }
        (Math::Mul, ValueKind::String, ValueKind::Number) => return repeat(a, b),
        (Math::Mul, ValueKind::Number, ValueKind::String) => return repeat(b, a),
        _ => {}
    }
    match numbers(a, b) {
        Some(Numbers::Integers(a, b)) => integers(op, a, b),
        Some(Numbers::Floats(a, b)) => floats(op, a, b).map(Value::from),
        None => Err(format!("calculates with {} and {}", kind_of(a), kind_of(b))),
    }
}

fn repeat(text: &Value, times: &Value) -> Result<Value, Refused> {
    let text = text.as_str().unwrap_or_default();
    let times = times.as_usize().ok_or("repeats a text, but not a whole number of times")?;
    within_limit(text.len().saturating_mul(times))?;
    Ok(Value::from(text.repeat(times)))
}

/// The most parts that a list or a mapping has, those of its parts counted as often as they stand in it: a list of four of the same list, and
/// so on, is small in memory, and endless to whoever goes through it.
pub(super) const PARTS_LIMIT: usize = 1 << 20;

/// A list or a mapping, unless it has too many parts.
pub(super) fn bounded(value: Value) -> Result<Value, Refused> {
    let mut left = PARTS_LIMIT;
    count_parts(&value, &mut left)?;
    Ok(value)
}

fn count_parts(value: &Value, left: &mut usize) -> Result<(), Refused> {
    if !matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable | ValueKind::Map) {
        return Ok(());
    }
    let is_map = value.kind() == ValueKind::Map;
    for item in value.try_iter().map_err(|_| "can't be gone through")? {
        *left = left.checked_sub(1).ok_or_else(too_many_parts)?;
        if is_map {
            count_parts(&value.get_item(&item).map_err(|_| "can't be gone through")?, left)?;
        } else {
            count_parts(&item, left)?;
        }
    }
    Ok(())
}

/// Refuses what would have more parts than that.
pub(super) fn within_parts(parts: usize) -> Result<(), Refused> {
    if parts > PARTS_LIMIT { Err(too_many_parts()) } else { Ok(()) }
}

fn too_many_parts() -> Refused {
    format!("makes a list or a mapping of more than {PARTS_LIMIT} parts")
}

/// Refuses a text that is longer than any request should be.
pub(super) fn within_limit(length: usize) -> Result<(), Refused> {
    if length > TEXT_LIMIT { Err("makes a text of more than 16 MiB".into()) } else { Ok(()) }
}

fn integers(op: Math, a: i128, b: i128) -> Result<Value, Refused> {
    let result = match op {
        Math::Add => a.checked_add(b),
        Math::Sub => a.checked_sub(b),
        Math::Mul => a.checked_mul(b),
        Math::Div | Math::FloorDiv | Math::Rem if b == 0 => return Err("divides by zero".into()),
        Math::Div => return Ok(Value::from(a as f64 / b as f64)),
        Math::FloorDiv => floored(a, b).map(|(quotient, _)| quotient),
        Math::Rem => floored(a, b).map(|(_, remainder)| remainder),
        Math::Pow if b < 0 => return floats(op, a as f64, b as f64).map(Value::from),
        Math::Pow => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
    };
    result.map(from_integer).ok_or_else(|| "is too large a number".into())
}

/// Quotient and remainder rounded towards minus infinity: the remainder has the divisor's sign, as in Jinja.
fn floored(a: i128, b: i128) -> Option<(i128, i128)> {
    let (quotient, remainder) = (a.checked_div(b)?, a.checked_rem(b)?);
    let uneven = remainder != 0 && (remainder < 0) != (b < 0);
    Some(if uneven { (quotient.checked_sub(1)?, remainder.checked_add(b)?) } else { (quotient, remainder) })
}

fn floats(op: Math, a: f64, b: f64) -> Result<f64, Refused> {
    match op {
        Math::Div | Math::FloorDiv | Math::Rem if b == 0.0 => Err("divides by zero".into()),
        Math::Pow if a == 0.0 && b < 0.0 => Err("divides by zero".into()),
        Math::Add => Ok(a + b),
        Math::Sub => Ok(a - b),
        Math::Mul => Ok(a * b),
        Math::Div => Ok(a / b),
        Math::FloorDiv => Ok((a / b).floor()),
        Math::Rem => Ok(a - b * (a / b).floor()),
        Math::Pow => Ok(a.powf(b)),
    }
}

/// The number with its sign changed.
pub(super) fn negate(value: &Value) -> Result<Value, Refused> {
    if !is_present(value) || value.kind() != ValueKind::Number {
        return Err(format!("negates {}", kind_of(value)));
    }
    match integer(value) {
        Some(number) => number.checked_neg().map(from_integer).ok_or_else(|| "is too large a number".into()),
        None => float(value).map(|number| Value::from(-number)).ok_or_else(|| "is no number".into()),
    }
}

/// A part of a text or a list, as in Python: negative places count from the end, what is outside is cut off.
pub(super) fn slice(value: &Value, start: Option<i64>, stop: Option<i64>, step: i64) -> Result<Value, Refused> {
    if step == 0 {
        return Err("takes a slice with a step of 0".into());
    }
    if let Some(text) = value.as_str() {
        let characters: Vec<char> = text.chars().collect();
        return Ok(Value::from(places(characters.len(), start, stop, step).map(|i| characters[i]).collect::<String>()));
    }
    if !is_list(value) {
        return Err(format!("takes a slice of {}", kind_of(value)));
    }
    let all = items(value)?;
    Ok(Value::from(places(all.len(), start, stop, step).map(|i| all[i].clone()).collect::<Vec<_>>()))
}

fn places(length: usize, start: Option<i64>, stop: Option<i64>, step: i64) -> impl Iterator<Item = usize> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    // Going down, the places are length-1 … 0, and -1 stands for "before the first".
    let (lowest, highest) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let place = |index: i64| (if index < 0 { index.saturating_add(length) } else { index }).clamp(lowest, highest);
    let first = start.map_or(if step > 0 { lowest } else { highest }, place);
    let end = stop.map_or(if step > 0 { highest } else { lowest }, place);
    std::iter::successors(Some(first), move |at| at.checked_add(step))
        .take_while(move |at| if step > 0 { *at < end } else { *at > end })
        .filter_map(|at| usize::try_from(at).ok())
}
