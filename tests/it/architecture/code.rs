//! Rust text without its comments and literals, so that what is looked for is found in code alone.

/// `text` with comments, strings and characters blanked; lines stay where they are.
pub(super) fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let blank = |out: &mut Vec<u8>, part: &[u8]| out.extend(part.iter().map(|&b| if b == b'\n' { b'\n' } else { b' ' }));
    let mut i = 0;
    while i < bytes.len() {
        let rest = &bytes[i..];
        let length = if rest.starts_with(b"//") {
            rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            block_comment(rest)
        } else if let Some(length) = raw_string(rest, i.checked_sub(1).map(|before| bytes[before])) {
            length
        } else if rest[0] == b'"' {
            quoted(rest, b'"')
        } else if rest[0] == b'\'' {
            character(rest)
        } else {
            0
        };
        if length == 0 {
            out.push(rest[0]);
            i += 1;
        } else {
            blank(&mut out, &rest[..length]);
            i += length;
        }
    }
    String::from_utf8(out).unwrap()
}

/// The length of the block comment that `rest` begins with; they nest.
fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut i) = (0, 0);
    while i < rest.len() {
        if rest[i..].starts_with(b"/*") {
            depth += 1;
            i += 2;
        } else if rest[i..].starts_with(b"*/") {
            depth -= 1;
            i += 2;
            if depth == 0 {
                return i;
            }
        } else {
            i += 1;
        }
    }
    rest.len()
}

/// The length of the raw string (`r"…"`, `br#"…"#`) that `rest` begins with, if it does.
fn raw_string(rest: &[u8], before: Option<u8>) -> Option<usize> {
    if before.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return None;
    }
    let start = if rest.starts_with(b"br") { 2 } else { usize::from(rest.starts_with(b"r")) };
    if start == 0 {
        return None;
    }
    let hashes = rest[start..].iter().take_while(|&&b| b == b'#').count();
    if rest.get(start + hashes) != Some(&b'"') {
        return None;
    }
    let end: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let body = start + hashes + 1;
    let found = rest[body..].windows(end.len()).position(|w| w == end);
    Some(found.map_or(rest.len(), |at| body + at + end.len()))
}

/// The length of the literal between two `quote`s that `rest` begins with.
fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut i = 1;
    while i < rest.len() && rest[i] != quote {
        i += if rest[i] == b'\\' { 2 } else { 1 };
    }
    (i + 1).min(rest.len())
}

/// The length of the character that `rest` begins with; 0 if it is a lifetime.
fn character(rest: &[u8]) -> usize {
    if rest.get(1) == Some(&b'\\') {
        return quoted(rest, b'\'');
    }
    // One character of up to four bytes, then the closing quote.
    (2..=5)
        .find(|&at| rest.get(at) == Some(&b'\''))
        .filter(|at| std::str::from_utf8(&rest[1..*at]).is_ok_and(|s| s.chars().count() == 1))
        .map_or(0, |at| at + 1)
}
