//! The functions of expressions, each with what it takes and what it answers.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest, Sha256};

use super::Value;
use super::entropy;
use super::library::encode_base64;
use super::response::hex;
use super::scope::Scope;
use super::strict::{Refused, items, kind_of};
use super::text::{percent_encode, to_bytes};

/// A function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Uuid,
    Now,
    Timestamp,
    RandomInt,
    RandomString,
    RandomText,
    Pick,
    HmacSha256,
    Sha256,
    Base64,
    Urlencode,
    StripeSignature,
    Metric,
    Lost,
    Range,
}

/// Every function with its name, how few and how many arguments it takes, and how it is written.
const FUNCTIONS: [(Function, &str, usize, usize, &str); 15] = [
    (Function::Uuid, "uuid", 0, 0, "uuid()"),
    (Function::Now, "now", 0, 0, "now()"),
    (Function::Timestamp, "timestamp", 1, 1, "timestamp(x)"),
    (Function::RandomInt, "random_int", 2, 2, "random_int(1, 5)"),
    (Function::RandomString, "random_string", 1, 1, "random_string(16)"),
    (Function::RandomText, "random_text", 2, 2, "random_text(20, 200)"),
    (Function::Pick, "pick", 1, 1, "pick(list)"),
    (Function::HmacSha256, "hmac_sha256", 2, 2, "hmac_sha256(key, text)"),
    (Function::Sha256, "sha256", 1, 1, "sha256(text)"),
    (Function::Base64, "base64", 1, 1, "base64(text)"),
    (Function::Urlencode, "urlencode", 1, 1, "urlencode(text)"),
    (Function::StripeSignature, "stripe_signature", 2, 2, "stripe_signature(secret, body)"),
    (Function::Metric, "metric", 1, 1, "metric('name')"),
    (Function::Lost, "lost", 1, 1, "lost('step')"),
    (Function::Range, "range", 1, 3, "range(10)"),
];

/// The longest random text, in characters.
const LONGEST: u64 = 1 << 20;
/// The longest list that `range` makes.
const WIDEST: u64 = 10_000;

impl Function {
    /// The names of all functions.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        FUNCTIONS.iter().map(|(_, name, ..)| *name)
    }

    /// The function of a name.
    pub(super) fn find(name: &str) -> Option<Self> {
        FUNCTIONS.iter().find(|(_, known, ..)| *known == name).map(|(function, ..)| *function)
    }

    /// How it is written, unless it takes so many arguments.
    pub(super) fn refuse_arity(self, count: usize) -> Option<&'static str> {
        let (_, _, least, most, usage) = FUNCTIONS.iter().find(|(function, ..)| *function == self)?;
        (!(*least..=*most).contains(&count)).then_some(*usage)
    }

    /// Calls it. The arguments are there: neither undefined nor null, and as many as [`Function::refuse_arity`] wants.
    pub(super) fn call(self, args: &[Value], scope: &Scope) -> Result<Value, Refused> {
        match (self, args) {
            (Function::Uuid, _) => Ok(Value::from(entropy::uuid().hyphenated().encode_lower(&mut [0; 36]) as &str)),
            (Function::Now, _) => Ok(Value::from(unix_now().as_secs_f64())),
            (Function::Timestamp, [at]) => timestamp(at).map(Value::from),
            (Function::RandomInt, [from, to]) => random_int(from, to, scope),
            (Function::RandomString, [length]) => Ok(Value::from(entropy::string(size(length)?))),
            (Function::RandomText, [from, to]) => {
                let (from, to) = (size(from)?, size(to)?);
                let spread = to.checked_sub(from).ok_or("has its larger bound first")?;
                let more = scope.random().below(spread as u64 + 1);
                Ok(Value::from(entropy::text(from + more as usize)))
            }
            (Function::Pick, [list]) => pick(list, scope),
            (Function::HmacSha256, [key, text]) => hmac(&to_bytes(key)?, &[&to_bytes(text)?]).map(Value::from),
            (Function::Sha256, [text]) => Ok(Value::from(hex(&Sha256::digest(to_bytes(text)?)))),
            (Function::Base64, [text]) => Ok(Value::from(encode_base64(&to_bytes(text)?))),
            (Function::Urlencode, [text]) => Ok(Value::from(percent_encode(&to_bytes(text)?))),
            (Function::StripeSignature, [secret, body]) => {
                stripe_signature(&to_bytes(secret)?, &to_bytes(body)?, unix_now().as_secs()).map(Value::from)
            }
            (Function::Metric, [name]) => {
                let totals = scope.shared.metrics.as_ref().ok_or("has no totals yet")?;
                let total = name.as_str().and_then(|name| totals.get(name)).ok_or("names a metric that doesn't exist")?;
                Ok(number(*total))
            }
            (Function::Lost, [step]) => {
                let lost = scope.shared.lost.as_ref().ok_or("has no totals yet")?;
                let count = step.as_str().and_then(|step| lost.get(step)).ok_or("names a step that doesn't exist")?;
                Ok(Value::from(*count))
            }
            (Function::Range, args) => range(args),
            _ => Err("has the wrong number of arguments".into()),
        }
    }
}

/// A total as a number: a whole one without a point, so that it reads as it would in JSON.
fn number(total: f64) -> Value {
    if total.fract() == 0.0 && total.abs() < 9e15 { Value::from(total as i64) } else { Value::from(total) }
}

pub(super) fn unix_now() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A moment in Unix seconds: of seconds, of milliseconds (above 1e11), or of RFC 3339.
pub(super) fn timestamp(at: &Value) -> Result<f64, Refused> {
    if let Some(text) = at.as_str() {
        let moment = chrono::DateTime::parse_from_rfc3339(text.trim()).map_err(|_| "is no time as in RFC 3339")?;
        return Ok(moment.timestamp() as f64 + f64::from(moment.timestamp_subsec_nanos()) / 1e9);
    }
    let number = Some(at).filter(|at| at.is_number()).and_then(|at| f64::try_from(at.clone()).ok());
    match number {
        Some(millis) if millis.abs() > 1e11 => Ok(millis / 1e3),
        Some(seconds) => Ok(seconds),
        None => Err(format!("takes a number or a text, not {}", kind_of(at))),
    }
}

/// A whole number.
pub(super) fn whole(value: &Value) -> Result<i64, Refused> {
    let number = Some(value).filter(|value| value.is_number()).and_then(|value| i64::try_from(value.clone()).ok());
    number.ok_or_else(|| format!("takes a whole number, not {}", if value.is_number() { "a fraction" } else { kind_of(value) }))
}

fn size(value: &Value) -> Result<usize, Refused> {
    match u64::try_from(whole(value)?) {
        Ok(size) if size <= LONGEST => Ok(size as usize),
        _ => Err(format!("takes a length from 0 to {LONGEST}")),
    }
}

fn random_int(from: &Value, to: &Value, scope: &Scope) -> Result<Value, Refused> {
    let (from, to) = (whole(from)?, whole(to)?);
    if from > to {
        return Err("has its larger bound first".into());
    }
    let mut stream = scope.random();
    let offset = match from.abs_diff(to).checked_add(1) {
        Some(count) => stream.below(count),
        None => stream.next_u64(),
    };
    Ok(Value::from(from.wrapping_add_unsigned(offset)))
}

fn pick(list: &Value, scope: &Scope) -> Result<Value, Refused> {
    use minijinja::value::ValueKind;
    let length = match list.kind() {
        ValueKind::Seq => list.len().unwrap_or_default(),
        ValueKind::Iterable => return pick(&Value::from(items(list)?), scope),
        _ => return Err(format!("takes a list, not {}", kind_of(list))),
    };
    if length == 0 {
        return Err("picks from an empty list".into());
    }
    let place = scope.random().below(length as u64) as usize;
    list.get_item_by_index(place).map_err(|_| "picks from a list that can't be read".into())
}

/// HMAC-SHA-256 (RFC 2104) of the parts after each other, in hex.
fn hmac(key: &[u8], parts: &[&[u8]]) -> Result<String, Refused> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| "has a key that can't be used")?;
    for part in parts {
        mac.update(part);
    }
    Ok(hex(&mac.finalize().into_bytes()))
}

/// What a webhook of that time with that body has as its header `Stripe-Signature`.
pub(super) fn stripe_signature(secret: &[u8], body: &[u8], at: u64) -> Result<String, Refused> {
    let signature = hmac(secret, &[at.to_string().as_bytes(), b".", body])?;
    Ok(format!("t={at},v1={signature}"))
}

fn range(args: &[Value]) -> Result<Value, Refused> {
    let numbers: Vec<i64> = args.iter().map(whole).collect::<Result<_, _>>()?;
    let (from, to, step) = match numbers[..] {
        [to] => (0, to, 1),
        [from, to] => (from, to, 1),
        [from, to, step] => (from, to, step),
        _ => return Err("has the wrong number of arguments".into()),
    };
    let inside = |at: &i64| if step > 0 { *at < to } else { *at > to };
    if step == 0 || (inside(&from) && from.abs_diff(to) / step.unsigned_abs() >= WIDEST) {
        return Err(format!("is endless or longer than {WIDEST}"));
    }
    let all: Vec<i64> = std::iter::successors(Some(from), |at| at.checked_add(step)).take_while(inside).collect();
    Ok(Value::from(all))
}
