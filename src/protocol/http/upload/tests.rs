//! Uploads as bytes: what is said of their length and digests holds for any parts.

use std::future::poll_fn;
use std::io::Write as _;

use proptest::prelude::*;

use super::*;
use crate::base::Reason;
use crate::expr::{Compiler, Layer, Names, ScenarioValues, Scope, Template, Value};

fn scope() -> Scope {
    Scope::new(Arc::new(ScenarioValues::default()), 0)
}

fn lit(text: &str) -> Template {
    Template::literal(text)
}

fn part(name: &str, content: Content) -> BodyPart {
    BodyPart { name: lit(name), content, filename: None, content_type: None, digest: false }
}

fn random(least: u64, most: u64) -> Content {
    Content::Random(Length::Written(Sizes { least, most }))
}

/// Everything that an upload hands over, and the sizes of the chunks.
fn drain(mut upload: Upload) -> Result<(Vec<u8>, Vec<usize>), io::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (mut all, mut sizes) = (Vec::new(), Vec::new());
        while let Some(chunk) = poll_fn(|cx| upload.poll(cx)).await {
            let chunk = chunk?;
            all.extend_from_slice(&chunk);
            sizes.push(chunk.len());
        }
        Ok((all, sizes))
    })
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn content_of(file: &tempfile::NamedTempFile) -> Content {
    Content::File { name: lit(file.path().to_str().unwrap()), folder: "/".into() }
}

#[test]
fn parts_stand_as_the_standard_has_them() {
    let picture = file(b"\x89PNG");
    let name = picture.path().file_name().unwrap().to_str().unwrap().to_owned();
    let multipart = Multipart {
        parts: vec![
            part("title", Content::Value(lit("A \"title\"\r\n"))),
            BodyPart { filename: Some(lit("a\"b\r\n.txt")), ..part("q\"", Content::Value(lit(""))) },
            BodyPart { content_type: Some(lit("image/png")), ..part("picture", content_of(&picture)) },
            part("noise", random(3, 3)),
        ],
    };
    let (upload, content_type) = multipart.render(&scope()).unwrap();
    let boundary = content_type.to_str().unwrap().strip_prefix("multipart/form-data; boundary=").unwrap().to_owned();
    let (all, _) = drain(upload).unwrap();
    let noise = &all[all.len() - boundary.len() - 8 - 3..][..3];
    let expected = [
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nA \"title\"\r\n\r\n").as_bytes(),
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"q%22\"; filename=\"a%22b%0D%0A.txt\"\r\n\r\n\r\n")
            .as_bytes(),
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"picture\"; filename=\"{name}\"\r\n").as_bytes(),
        b"Content-Type: image/png\r\n\r\n\x89PNG\r\n",
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"noise\"; filename=\"random.bin\"\r\n").as_bytes(),
        b"Content-Type: application/octet-stream\r\n\r\n",
        noise,
        format!("\r\n--{boundary}--\r\n").as_bytes(),
    ]
    .concat();
    assert_eq!(String::from_utf8_lossy(&all), String::from_utf8_lossy(&expected));
}

#[test]
fn generated_content_is_never_the_same_but_for_a_second_pass() {
    let multipart = Multipart { parts: vec![BodyPart { digest: true, ..part("a", random(100_001, 100_001)) }] };
    let (first, one) = multipart.render(&scope()).unwrap();
    let (second, two) = multipart.render(&scope()).unwrap();
    assert_ne!(one, two, "a boundary of its own for each");
    let again = first.clone();
    let (first, again, second) = (drain(first).unwrap().0, drain(again).unwrap().0, drain(second).unwrap().0);
    assert!(first == again && first != second);
    // Incompressible: every byte value about as often.
    let mut counts = [0u32; 256];
    first.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    assert!(counts.iter().all(|n| (250..550).contains(n)), "{counts:?}");
}

#[test]
fn what_is_generated_does_not_depend_on_the_chunks() {
    let seed = Seed::unique();
    let whole = Generator::new(seed).next(1000);
    let mut generator = Generator::new(seed);
    let pieces: Vec<u8> = [1, 2, 3, 8, 13, 500, 7, 466].into_iter().flat_map(|n| generator.next(n)).collect();
    assert_eq!(pieces, whole);
}

#[test]
fn sizes_are_read_and_drawn_from_both_ends() {
    assert_eq!(Sizes::parse("10MB"), Ok(Sizes { least: 10_000_000, most: 10_000_000 }));
    assert_eq!(Sizes::parse(" 1KiB .. 2KiB "), Ok(Sizes { least: 1024, most: 2048 }));
    assert!(Sizes::parse("2MB..1MB").unwrap_err().to_string().contains("backwards"));
    assert!(Sizes::parse("10 parsecs").unwrap_err().to_string().contains("10MB"));
    let scope = scope();
    let multipart = Multipart { parts: vec![part("a", random(1, 3))] };
    let lengths: std::collections::BTreeSet<u64> = (0..100).map(|_| multipart.render(&scope).unwrap().0.left()).collect();
    assert_eq!(lengths.len(), 3);
}

#[test]
fn what_varies_is_rendered_for_the_user() {
    let mut compiler = Compiler::new();
    let mut names = Names::new();
    names.variable("x");
    let symbol = compiler.symbol("x");
    let mut template = |text: &str| compiler.template(text, &names).unwrap();
    let (plain, size) = (template("{{ x }}"), template("{{ x }}B"));
    let picture = file(b"12345");
    let folder = picture.path().parent().unwrap().to_owned();
    let render = |content: Content, x: &str| {
        let mut scope = scope();
        scope.set(Layer::Iteration, symbol, Value::from(x));
        let multipart = Multipart { parts: vec![part("a", content)] };
        multipart.render(&scope).map(|(upload, _)| drain(upload).unwrap().0)
    };
    let sized = || Content::Random(Length::Expression(size.clone()));
    assert_eq!(render(sized(), "7").unwrap().len() + 13, render(sized(), "20").unwrap().len());
    let error = render(sized(), "far").unwrap_err().to_string();
    assert!(error.contains("`random`") && error.contains("10MB"), "{error}");
    let named = || Content::File { name: plain.clone(), folder: folder.clone() };
    let name = picture.path().file_name().unwrap().to_str().unwrap();
    assert!(String::from_utf8(render(named(), name).unwrap()).unwrap().contains("\r\n\r\n12345\r\n"));
    let error = render(named(), "no-such-file").unwrap_err().to_string();
    assert!(error.contains("names no file that can be read") && !error.contains("no-such-file"), "{error}");
    let broken = BodyPart { content_type: Some(plain.clone()), ..part("a", random(1, 1)) };
    let mut scope = scope();
    scope.set(Layer::Iteration, symbol, Value::from("a/b\r\nx: y"));
    assert!(Multipart { parts: vec![broken] }.render(&scope).unwrap_err().to_string().contains("line break"));
}

#[test]
fn a_file_that_shrinks_says_so() {
    let long = file(&[7; 200_000]);
    let (upload, _) = Multipart { parts: vec![part("a", content_of(&long))] }.render(&scope()).unwrap();
    let tally = upload.tally();
    long.as_file().set_len(100_000).unwrap();
    let error = drain(upload).unwrap_err().to_string();
    assert!(error.contains("became shorter while it was sent"), "{error}");
    assert_eq!((tally.failure(), tally.is_complete()), (Some((Reason::Data, error)), false));
}

#[test]
fn a_stopped_upload_hands_nothing_more_over() {
    let (mut upload, _) = Multipart { parts: vec![part("a", random(100_000, 100_000))] }.render(&scope()).unwrap();
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(upload.poll(&mut cx).is_ready());
    upload.tally().stop();
    assert!(upload.poll(&mut cx).is_pending());
    assert!(!upload.tally().is_complete() && upload.left() > 0);
}

/// A part's content as bytes, and whether its digest is wanted.
fn anything() -> impl Strategy<Value = (u8, Vec<u8>, bool)> {
    let edges =
        prop_oneof![Just(0), Just(1), Just(CHUNK - 1), Just(CHUNK), Just(CHUNK + 1), Just(4 * CHUNK + 3), 0..100_000usize];
    let bytes = edges.prop_flat_map(|n| prop::collection::vec(any::<u8>(), n.min(70_000)));
    (0..3u8, bytes, any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_length_and_the_digests_are_those_of_what_is_sent(contents in prop::collection::vec(anything(), 0..4)) {
        let mut files = Vec::new();
        let mut parts = Vec::new();
        for (kind, bytes, digest) in &contents {
            let content = match kind {
                0 => Content::Value(lit(&String::from_utf8_lossy(bytes))),
                1 => {
                    let file = file(bytes);
                    let content = content_of(&file);
                    files.push(file);
                    content
                }
                _ => random(bytes.len() as u64, bytes.len() as u64),
            };
            parts.push(BodyPart { digest: *digest, ..part("p", content) });
        }
        let (upload, content_type) = Multipart { parts }.render(&scope()).unwrap();
        let (said, tally) = (upload.left(), upload.tally());
        let (all, sizes) = drain(upload).unwrap();
        prop_assert_eq!(said, all.len() as u64);
        prop_assert!(sizes.iter().all(|n| (1..=CHUNK).contains(n)));
        let uploaded = tally.uploaded();
        prop_assert!(uploaded.complete && uploaded.length == said);
        // Taken apart again by the boundary alone.
        let boundary = format!("--{}", content_type.to_str().unwrap().split_once("boundary=").unwrap().1);
        let mut digests = uploaded.digests.into_iter();
        let mut rest = &all[..];
        for (kind, bytes, digest) in &contents {
            prop_assert!(rest.starts_with(boundary.as_bytes()));
            let body = rest.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
            let end = body + rest[body..].windows(boundary.len()).position(|window| window == boundary.as_bytes()).unwrap();
            let content = &rest[body..end - 2];
            match kind {
                0 => prop_assert!(content == String::from_utf8_lossy(bytes).as_bytes()),
                1 => prop_assert_eq!(content, &bytes[..]),
                _ => prop_assert_eq!(content.len(), bytes.len()),
            }
            if *digest {
                prop_assert_eq!(digests.next().unwrap(), Some(hash(content)));
            }
            rest = &rest[end..];
        }
        prop_assert_eq!(digests.next(), None);
        let end = format!("{boundary}--\r\n");
        prop_assert!(rest == end.as_bytes());
    }
}

#[test]
fn what_this_machine_lacks_for_a_file_is_not_the_datas_fault() {
    let tally = Tally::new(1, 0);
    for (error, reason) in [
        (file::named(std::path::Path::new("a.bin"), std::io::Error::from_raw_os_error(libc::ENOMEM)), Reason::Local),
        (std::io::Error::other(crate::net::Limit::Threads), Reason::Local),
        (file::named(std::path::Path::new("a.bin"), std::io::Error::from_raw_os_error(libc::EIO)), Reason::Data),
    ] {
        tally.fail(&error);
        let (failed, detail) = tally.failure().unwrap();
        assert_eq!(failed, reason, "{detail}");
        assert!(detail.contains("a.bin cannot be read") || detail.contains("ulimit -u"), "{detail}");
    }
}
