//! `multipart/form-data` (RFC 7578): parts as resolved, and one request's body made of them.
//!
//! Names and file names are escaped as browsers do it (WHATWG HTML, "multipart/form-data encoding algorithm"). The boundary is
//! random, 128 bits for each request, so no content can hold it but by guessing it.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;

use super::{File, Seed, Segment, Source, Upload};
use crate::base::secrets::Naming;
use crate::base::units::parse_size;
use crate::expr::{EvalError, Scope, Template, unique};
use crate::net::Limit;

/// The file name of generated content that is given none: with one, servers take it for a file.
const RANDOM_NAME: &str = "random.bin";
/// The content type of files and generated content that are given none.
const OCTETS: &str = "application/octet-stream";

/// A body of several parts.
#[derive(Debug, Clone, Default)]
pub struct Multipart {
    /// The parts in order.
    pub parts: Vec<BodyPart>,
}

/// One part.
#[derive(Debug, Clone)]
pub struct BodyPart {
    /// The field's name.
    pub name: Template,
    /// What is in it.
    pub content: Content,
    /// `filename`; files and generated content have one in any case.
    pub filename: Option<Template>,
    /// `Content-Type`; files and generated content have one in any case.
    pub content_type: Option<Template>,
    /// Whether the SHA-256 of what is sent of it is computed.
    pub digest: bool,
}

/// What is in a part.
#[derive(Debug, Clone)]
pub enum Content {
    /// A text.
    Value(Template),
    /// A file's bytes; its name is taken relative to the folder.
    File {
        /// Its name.
        name: Template,
        /// The folder of the profile that names it.
        folder: PathBuf,
    },
    /// Incompressible bytes, others each time.
    Random(Length),
}

/// How much is generated.
#[derive(Debug, Clone)]
pub enum Length {
    /// As written.
    Written(Sizes),
    /// Given by an expression: a number of bytes, or a text like `10MB` or `100KB..50MB`.
    Expression(Template),
}

/// Sizes from a least to a most, in bytes, both among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    /// The least.
    pub least: u64,
    /// The most.
    pub most: u64,
}

/// A text that is no size and no range of sizes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SizeError(String);

impl Sizes {
    /// Reads `10MB` or `100KB..50MB`.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub fn parse(text: &str) -> Result<Self, SizeError> {
        let size = |text: &str| parse_size(text.trim()).map_err(|error| SizeError(error.to_string()));
        let (least, most) = match text.split_once("..") {
            Some((least, most)) => (size(least)?, size(most)?),
            None => (size(text)?, size(text)?),
        };
        if least > most {
            return Err(SizeError(format!("`{}` goes backwards; write the smaller size first", text.trim())));
        }
        Ok(Self { least, most })
    }

    /// One of them, each as likely, by the user's own stream: the same in a run with the same seed.
    fn draw(self, scope: &Scope) -> u64 {
        if self.least == self.most {
            return self.least;
        }
        self.least + scope.random().below((self.most - self.least).saturating_add(1))
    }
}

impl Multipart {
    /// Makes one request's body, and its content type.
    ///
    /// # Errors
    /// An expression that can't be evaluated, a file that can't be opened, a size that is none.
    pub(in crate::protocol::http) fn render(&self, scope: &Scope) -> Result<(Upload, HeaderValue), EvalError> {
        let [high, low] = unique();
        let boundary = format!("load-exporter-{high:016x}{low:016x}");
        let mut source = Source::default();
        let mut head = String::new();
        for part in &self.parts {
            let _ = write!(head, "--{boundary}\r\n");
            let (segment, filename) = part.content(scope)?;
            part.head(scope, filename, &mut head)?;
            let fits = source.push(Segment::Text(std::mem::take(&mut head).into()), false) && source.push(segment, part.digest);
            if !fits {
                return Err(EvalError::new("multipart", "is longer than a request can say"));
            }
            head.push_str("\r\n");
        }
        let _ = write!(head, "--{boundary}--\r\n");
        if !source.push(Segment::Text(head.into()), false) {
            return Err(EvalError::new("multipart", "is longer than a request can say"));
        }
        let content_type = HeaderValue::try_from(format!("multipart/form-data; boundary={boundary}"))
            .map_err(|_| EvalError::new("multipart", "has a boundary that headers cannot carry"))?;
        Ok((Upload::new(Arc::new(source)), content_type))
    }
}

impl Multipart {
    /// The secrets in a body that [`Self::render`] made.
    pub(in crate::protocol::http) fn secrets<'m>(&'m self, upload: &'m Upload) -> impl Iterator<Item = String> + 'm {
        // Each stands behind a head of its own.
        let contents = upload.source.segments.iter().skip(1).step_by(2);
        self.parts.iter().zip(contents).filter_map(|(part, (segment, _))| part.secret(segment))
    }
}

impl BodyPart {
    /// What it sends, if that is a secret by its name and not known from the profile.
    fn secret(&self, segment: &Segment) -> Option<String> {
        let (Content::Value(value), Segment::Text(text)) = (&self.content, segment) else { return None };
        let text = std::str::from_utf8(text).ok().filter(|_| !value.is_static())?;
        self.name.as_static().filter(|name| Naming::of(name).hides(text)).map(|_| text.to_owned())
    }

    /// What it sends, and the file name that follows from it.
    fn content(&self, scope: &Scope) -> Result<(Segment, Option<String>), EvalError> {
        let mut text = String::new();
        match &self.content {
            Content::Value(value) => {
                value.text(scope, &mut text)?;
                Ok((Segment::Text(Bytes::from(text)), None))
            }
            Content::File { name, folder } => {
                name.text(scope, &mut text)?;
                let path = folder.join(&text);
                // Without the name, which an expression may have made of a secret, where it isn't the profile's own.
                let (file, length) = File::open(&path).map_err(|error| match (Limit::of_file(&error), name.as_static()) {
                    (Some(limit), name) => EvalError::new(name.unwrap_or("file"), format!("can't be sent: {limit}")).locally(),
                    (None, Some(name)) => EvalError::new(name, format!("can't be sent: {error}")),
                    (None, None) => EvalError::new("file", format!("names no file that can be read ({})", error.kind())),
                })?;
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
                Ok((Segment::File(Arc::new(file), length), name))
            }
            Content::Random(length) => {
                let sizes = match length {
                    Length::Written(sizes) => *sizes,
                    Length::Expression(template) => {
                        template.text(scope, &mut text)?;
                        Sizes::parse(&text).map_err(|error| EvalError::new("random", error.to_string()))?
                    }
                };
                Ok((Segment::Random(Seed::unique(), sizes.draw(scope)), Some(RANDOM_NAME.to_owned())))
            }
        }
    }

    /// Its headers and the empty line after them.
    fn head(&self, scope: &Scope, filename: Option<String>, head: &mut String) -> Result<(), EvalError> {
        let mut text = String::new();
        self.name.text(scope, &mut text)?;
        head.push_str("Content-Disposition: form-data; name=\"");
        escape(&text, head);
        head.push('"');
        let is_file = filename.is_some();
        let filename = match &self.filename {
            Some(template) => {
                text.clear();
                template.text(scope, &mut text)?;
                Some(text)
            }
            None => filename,
        };
        if let Some(filename) = filename {
            head.push_str("; filename=\"");
            escape(&filename, head);
            head.push('"');
        }
        head.push_str("\r\n");
        let mut content_type = String::new();
        match &self.content_type {
            Some(template) => template.text(scope, &mut content_type)?,
            None if is_file => content_type.push_str(OCTETS),
            None => {}
        }
        if content_type.contains(['\r', '\n']) {
            return Err(EvalError::new("content_type", "has a line break, which headers cannot carry"));
        }
        if !content_type.is_empty() {
            let _ = write!(head, "Content-Type: {content_type}\r\n");
        }
        head.push_str("\r\n");
        Ok(())
    }
}

/// A name as it may stand between quotes.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '"' => out.push_str("%22"),
            '\r' => out.push_str("%0D"),
            '\n' => out.push_str("%0A"),
            c => out.push(c),
        }
    }
}
