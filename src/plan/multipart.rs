//! Multipart bodies: the parts as written into parts as they are sent.

use super::resolver::Resolver;
use crate::base::written::{At, Node, Text};
use crate::expr::{Names, Template};
use crate::protocol::http::written::Part as Written;
use crate::protocol::http::{BodyPart, Content, Length, Multipart, Sizes, probe};

/// The parts in order; `at` is where the request stands.
pub(super) fn resolve(resolver: &mut Resolver<'_>, at: Node, parts: &[At<Written>], names: &Names) -> Multipart {
    if parts.is_empty() {
        resolver.lacking(at, "this `multipart` has no parts; write at least one, like {name: file, random: 10MB}");
    }
    Multipart { parts: parts.iter().filter_map(|written| part(resolver, written, names)).collect() }
}

fn part(resolver: &mut Resolver<'_>, written: &At<Written>, names: &Names) -> Option<BodyPart> {
    let part = &written.value;
    let optional = |resolver: &mut Resolver<'_>, text: &Option<Text>| match text {
        Some(text) => resolver.template(text, names).map(Some),
        None => Some(None),
    };
    let name = resolver.template(&part.name, names);
    let filename = optional(resolver, &part.filename);
    let content_type = optional(resolver, &part.content_type);
    if let (Some(Some(Template::Static(text))), Some(written)) = (&content_type, &part.content_type)
        && !text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
    {
        resolver.error(written.at, "a content type is a plain text like image/png");
    }
    let content = match (&part.value, &part.file, &part.random) {
        (Some(value), None, None) => resolver.template(value, names).map(Content::Value),
        (None, Some(file), None) => self::file(resolver, file, names),
        (None, None, Some(random)) => self::random(resolver, random, names).map(Content::Random),
        (None, None, None) => {
            resolver.lacking(written.at, "this part says not what is in it; it wants one of value, file, random");
            None
        }
        _ => {
            resolver.error(written.at, "a part has one content: `value`, `file` or `random`");
            None
        }
    };
    Some(BodyPart {
        name: name?,
        content: content?,
        filename: filename?,
        content_type: content_type?,
        digest: part.digest.is_some(),
    })
}

fn file(resolver: &mut Resolver<'_>, written: &Text, names: &Names) -> Option<Content> {
    let name = resolver.template(written, names)?;
    let folder = resolver.profile.file(written.at, "");
    // Looked at now: a missing file should be reported before a run, not by its first request.
    if let Some(name) = name.as_static()
        && let Err(error) = probe(&folder.join(name))
    {
        resolver.error(written.at, error.to_string());
        return None;
    }
    Some(Content::File { name, folder })
}

fn random(resolver: &mut Resolver<'_>, written: &Text, names: &Names) -> Option<Length> {
    let template = resolver.template(written, names)?;
    let Some(text) = template.as_static() else { return Some(Length::Expression(template)) };
    match Sizes::parse(text) {
        Ok(sizes) => Some(Length::Written(sizes)),
        Err(error) => {
            resolver.error(written.at, error.to_string());
            None
        }
    }
}
