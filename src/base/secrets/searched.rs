//! A text that is looked through for secrets: as it is, and as it reads once what is encoded in it is decoded.
//!
//! Whoever repeats a secret may do so in an encoding of its own: percent-encoded in a URL, escaped in JSON or HTML, in Base64 with the
//! user before it. So the text is decoded by each of them, by one after the other where they lie within each other, and what is found in
//! such a view is known by its place in the text itself.

use std::ops::Range;

/// How deep encodings may lie within each other, Base64 not counted: 21 views at most, before Base64.
const DEPTH: usize = 2;
/// So many bytes of a secret are looked up in the filter at once. No secret is shorter.
const GRAM: usize = 3;
/// So many of a secret's beginning are looked up.
const LOOKED_UP: usize = 12;

/// A text to be searched.
pub struct Searched {
    views: Vec<View>,
    /// The hashes of all that stands in the views, [`GRAM`] bytes each: most secrets are known not to be there without a search.
    filter: Vec<u64>,
}

impl Searched {
    /// Looks at a text.
    pub fn new(text: &str) -> Self {
        let mut views = vec![View::of(text)];
        let mut from = 0;
        for _ in 0..DEPTH {
            let to = views.len();
            for at in from..to {
                for decode in [percent, form, escapes, entities] {
                    let decoded = View::decoded(&views[at], decode);
                    views.extend(decoded.filter(|view| views.iter().all(|other| other.bytes != view.bytes)));
                }
            }
            from = to;
        }
        for at in 0..views.len() {
            let decoded: Vec<View> = (0..4).filter_map(|phase| View::of_base64(&views[at], phase)).collect();
            views.extend(decoded);
        }
        let grams: usize = views.iter().map(|view| view.bytes.len()).sum();
        let mut filter = vec![0; (grams / 8).next_power_of_two().max(4)];
        for gram in views.iter().flat_map(|view| view.bytes.windows(GRAM)) {
            let (word, bit) = slot(gram, filter.len());
            filter[word] |= bit;
        }
        Self { views, filter }
    }

    /// Whether a secret may be in it; false where it surely isn't.
    pub fn may_hold(&self, secret: &str) -> bool {
        secret.as_bytes().windows(GRAM).take(LOOKED_UP).all(|gram| {
            let (word, bit) = slot(gram, self.filter.len());
            self.filter[word] & bit != 0
        })
    }

    /// Where a secret stands in the text, in whatever encoding; with `alone` only where it is a word of its own.
    pub(super) fn find(&self, secret: &str, alone: bool, found: &mut dyn FnMut(Range<usize>)) {
        if secret.len() < GRAM || !self.may_hold(secret) {
            return;
        }
        for view in &self.views {
            let mut from = 0;
            while let Some(at) = position(&view.bytes[from..], secret.as_bytes()).map(|at| from + at) {
                let end = at + secret.len();
                if !alone || !(ends_in_word(&view.bytes[..at]) || begins_in_word(&view.bytes[end..])) {
                    found(view.place(at, end));
                }
                from = end;
            }
        }
    }
}

/// The text, or what it reads once decoded.
struct View {
    bytes: Vec<u8>,
    /// For each byte where in the text it begins and ends; nothing for the text itself.
    places: Option<Vec<(u32, u32)>>,
}

/// Decodes what stands at the beginning of some bytes: how many of them, and what they stand for.
type Decode = fn(&[u8]) -> Option<(usize, Vec<u8>)>;

impl View {
    fn of(text: &str) -> Self {
        Self { bytes: text.as_bytes().to_vec(), places: None }
    }

    /// The place in the text of a byte here.
    fn at(&self, index: usize) -> (u32, u32) {
        // No text that is shown has 4 GiB.
        self.places.as_ref().map_or((index as u32, index as u32 + 1), |places| places[index])
    }

    /// The place in the text of some bytes here, of one at least.
    fn place(&self, from: usize, to: usize) -> Range<usize> {
        self.at(from).0 as usize..self.at(to - 1).1 as usize
    }

    /// What a view reads once decoded; nothing where that changes nothing.
    fn decoded(of: &View, decode: Decode) -> Option<Self> {
        let (mut bytes, mut places, mut changed) =
            (Vec::with_capacity(of.bytes.len()), Vec::with_capacity(of.bytes.len()), false);
        let mut at = 0;
        while at < of.bytes.len() {
            match decode(&of.bytes[at..]) {
                Some((length, decoded)) => {
                    let place = of.place(at, at + length);
                    places.extend(decoded.iter().map(|_| (place.start as u32, place.end as u32)));
                    bytes.extend(decoded);
                    at += length;
                    changed = true;
                }
                None => {
                    bytes.push(of.bytes[at]);
                    places.push(of.at(at));
                    at += 1;
                }
            }
        }
        changed.then_some(Self { bytes, places: Some(places) })
    }

    /// What the stretches of Base64 in a view read, each from its character `phase` on: what stands before a token may look like a part of
    /// it. Between them is a byte that is part of no word.
    fn of_base64(of: &View, phase: usize) -> Option<Self> {
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        let mut at = 0;
        while at < of.bytes.len() {
            let run = of.bytes[at..].iter().take_while(|byte| sextet(**byte).is_some()).count();
            if run >= phase + 4 {
                let start = at + phase;
                let digits: Vec<u32> = of.bytes[start..at + run].iter().filter_map(|byte| sextet(*byte)).collect();
                // Padding belongs to the last byte.
                let padding = of.bytes[at + run..].iter().take_while(|byte| **byte == b'=').count();
                let end = of.place(start, at + run + padding).end as u32;
                // A user before the password is part of what is hidden.
                let mut readable = phase == 0;
                for (group, digits) in digits.chunks(4).enumerate().filter(|(_, digits)| digits.len() > 1) {
                    let word = digits.iter().enumerate().fold(0, |word, (place, digit)| word | digit << (18 - 6 * place));
                    let first = start + 4 * group;
                    for place in 0..digits.len() - 1 {
                        let byte = (word >> (16 - 8 * place)) as u8;
                        let from = if readable { of.at(start).0 } else { of.at(first + place).0 };
                        let last = first + place + 1 >= at + run - 1;
                        places.push((from, if last { end } else { of.at(first + place + 1).1 }));
                        bytes.push(byte);
                        readable &= byte == b' ' || byte.is_ascii_graphic();
                    }
                }
                bytes.push(0);
                places.push((end, end));
            }
            at += run.max(1);
        }
        (!bytes.is_empty()).then_some(Self { bytes, places: Some(places) })
    }
}

/// `%2B`.
fn percent(bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
    let [b'%', rest @ ..] = bytes else { return None };
    Some((3, vec![hex(rest.get(..2)?)? as u8]))
}

/// The same, and `+` for a space, as in queries and forms.
fn form(bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
    if bytes.first() == Some(&b'+') { Some((1, vec![b' '])) } else { percent(bytes) }
}

/// `\"`, `\n`, `\u00e9`, `\xe9`, `\u{e9}`: what JSON and many a language make of what can't stand in quotes.
fn escapes(bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
    let [b'\\', kind, rest @ ..] = bytes else { return None };
    let short = |byte: u8| Some((2, vec![byte]));
    let unit = |bytes: &[u8]| hex(bytes.get(..4)?);
    match kind {
        b'"' | b'\\' | b'/' | b'\'' => short(*kind),
        b'n' => short(b'\n'),
        b'r' => short(b'\r'),
        b't' => short(b'\t'),
        b'b' => short(8),
        b'f' => short(12),
        b'x' => Some((4, utf8(hex(rest.get(..2)?)?)?)),
        b'u' if rest.first() == Some(&b'{') => {
            let end = rest.iter().take(8).position(|byte| *byte == b'}')?;
            Some((2 + end + 1, utf8(hex(&rest[1..end])?)?))
        }
        b'u' => match unit(rest)? {
            high @ 0xd800..0xdc00 => {
                let low = unit(rest.get(4..)?.strip_prefix(b"\\u")?).filter(|low| (0xdc00..0xe000).contains(low))?;
                Some((12, utf8(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))?))
            }
            code => Some((6, utf8(code)?)),
        },
        _ => None,
    }
}

/// `&amp;`, `&#39;`, `&#x27;`.
fn entities(bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
    let [b'&', rest @ ..] = bytes else { return None };
    let end = rest.iter().take(9).position(|byte| *byte == b';')?;
    let name = std::str::from_utf8(&rest[..end]).ok()?;
    let decoded = match name {
        "amp" => vec![b'&'],
        "lt" => vec![b'<'],
        "gt" => vec![b'>'],
        "quot" => vec![b'"'],
        "apos" => vec![b'\''],
        _ => match name.strip_prefix('#')? {
            number if number.starts_with(['x', 'X']) => utf8(hex(&number.as_bytes()[1..])?)?,
            number => utf8(number.parse().ok()?)?,
        },
    };
    Some((end + 2, decoded))
}

/// A number of up to eight hexadecimal digits.
fn hex(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    digits.iter().try_fold(0, |number, digit| Some(number << 4 | char::from(*digit).to_digit(16)?))
}

fn utf8(code: u32) -> Option<Vec<u8>> {
    Some(char::from_u32(code)?.to_string().into_bytes())
}

/// What a character of Base64 stands for, in its usual form or in that for URLs.
fn sextet(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    }))
}

/// The word of a filter of so many words, a power of two, and the bit in it.
fn slot(gram: &[u8], words: usize) -> (usize, u64) {
    let number = gram.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    let hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    ((hash >> 6) as usize & (words - 1), 1 << (hash & 63))
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let (first, last) = (wanted.first()?, bytes.len().checked_sub(wanted.len())?);
    let mut from = 0;
    while from <= last {
        from += bytes[from..=last].iter().position(|byte| byte == first)?;
        if bytes[from..].starts_with(wanted) {
            return Some(from);
        }
        from += 1;
    }
    None
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn ends_in_word(bytes: &[u8]) -> bool {
    let start = (bytes.len().saturating_sub(4)..bytes.len()).find(|start| std::str::from_utf8(&bytes[*start..]).is_ok());
    start.and_then(|start| std::str::from_utf8(&bytes[start..]).ok()?.chars().next_back()).is_some_and(is_word)
}

fn begins_in_word(bytes: &[u8]) -> bool {
    let end = (1..=bytes.len().min(4)).find(|end| std::str::from_utf8(&bytes[..*end]).is_ok());
    end.and_then(|end| std::str::from_utf8(&bytes[..end]).ok()?.chars().next()).is_some_and(is_word)
}
