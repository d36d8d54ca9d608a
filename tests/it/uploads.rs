//! Uploads as a user sees them: what is sent is what arrives, early answers have their status, and no body is ever in memory
//! as a whole.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use crate::support::hostile::{Hostile, answer};
use crate::support::program::{Bench, accounts_hold, count, named};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A request's head, read to the byte, and the length of its body.
fn head(stream: &mut TcpStream) -> Option<(String, usize)> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    Some((head, length.unwrap_or(0)))
}

/// Reads so many bytes and forgets them.
fn swallow(stream: &mut TcpStream, mut left: usize) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    while left > 0 {
        let most = left.min(buffer.len());
        stream.read_exact(&mut buffer[..most])?;
        left -= most;
    }
    Ok(())
}

fn position(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// The SHA-256 of each part of a body, as JSON by the parts' names.
fn digests(head: &str, body: &[u8]) -> String {
    let boundary = format!("--{}", head.split_once("boundary=").unwrap().1.lines().next().unwrap());
    let mut parts = serde_json::Map::new();
    let mut rest = &body[boundary.len()..];
    while let Some(end) = position(rest, boundary.as_bytes()) {
        let start = position(rest, b"\r\n\r\n").unwrap() + 4;
        let headers = String::from_utf8_lossy(&rest[..start]).into_owned();
        let name = headers.split_once("name=\"").unwrap().1.split('"').next().unwrap().to_owned();
        let hash: String = Sha256::digest(&rest[start..end - 2]).iter().map(|byte| format!("{byte:02x}")).collect();
        parts.insert(name, hash.into());
        rest = &rest[end + boundary.len()..];
    }
    assert_eq!(rest, b"--\r\n");
    Value::Object(parts).to_string()
}

fn step<'r>(record: &'r Value, name: &str) -> &'r Value {
    named(&record["phases"][0]["steps"], "step", name)
}

#[test]
fn what_arrives_is_what_was_sent_and_its_speed_is_reported() {
    let target = Hostile::accept(|mut stream, _| {
        while let Some((head, length)) = head(&mut stream) {
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            stream.write_all(answer("201 Created", &digests(&head, &body)).as_bytes()).unwrap();
        }
    });
    let bench = Bench::new();
    std::fs::write(bench.path().join("cat.png"), [7; 100_000]).unwrap();
    let profile = format!(
        "name: uploads
defaults: {{http: {{base_url: \"{}\", timeout: 60s}}}}
metrics:
  processing_seconds: {{type: histogram, unit: seconds, help: After the last byte}}
scenarios:
  a:
    flow:
      - http:
          post: /files
          name: upload
          multipart:
            - {{name: title, value: \"of {{{{ user }}}}\", digest: of_title}}
            - {{name: cat, file: cat.png, content_type: image/png, digest: of_cat}}
            - {{name: noise, random: 100KB..400KB, digest: of_noise}}
          expect: {{status: 201}}
          check:
            title: response.json.title == sha256('of ' ~ user) and of_title == response.json.title
            cat: response.json.cat == of_cat
            noise: response.json.noise == of_noise
            sent: response.sent_bytes > 200000 and response.processing > 0 and response.processing <= response.wait
      - record: {{processing_seconds: response.processing}}
phases: [{{name: one, duration: 60s, load: {{a: {{users: 2, iterations: 3}}}}}}]
slos: [{{name: quick, of: processing_seconds, require: [p95 < 60s]}}]
",
        target.url()
    );
    let ended = bench.run(&profile);
    let record = bench.record();
    accounts_hold(&record);
    for check in record["phases"][0]["checks"].as_array().unwrap() {
        assert_eq!((count(&check["total"]), count(&check["failures"])), (6, 0), "{check}");
    }
    assert_eq!(record["phases"][0]["checks"].as_array().unwrap().len(), 4);
    let transfer = named(&record["phases"][0]["transfers"], "step", "upload");
    assert_eq!((count(&transfer["upload"]["count"]), count(&transfer["processing"]["count"])), (6, 6), "{transfer}");
    assert_eq!(count(&transfer["download"]["count"]), 0);
    let (speed, service) = (transfer["upload"]["mean"].as_f64().unwrap(), &step(&record, "upload")["service"]);
    assert!(speed > 200_000.0 / service["max"].as_f64().unwrap(), "{speed} {service}");
    assert!(ended.out.contains("Mbit/s"), "{}", ended.out);
}

#[test]
fn an_early_answer_has_its_status_and_a_broken_upload_its_reason() {
    let target = Hostile::accept(|mut stream, serving| {
        let Some((head, _)) = head(&mut stream) else { return };
        if head.starts_with("POST /large") {
            stream.write_all(answer("413 Content Too Large", "too large").as_bytes()).unwrap();
        } else {
            swallow(&mut stream, 500_000).unwrap();
        }
        // Closing with data unread resets the connection.
        serving.forget(&stream);
    });
    let bench = Bench::new();
    bench.run(&format!(
        "name: early
defaults: {{on_error: continue, http: {{base_url: \"{}\", timeout: 60s}}}}
scenarios:
  a:
    flow:
      - http: {{post: /large, name: large, multipart: {{name: file, random: 20MB, digest: sent}}, check: {{unsent: sent is undefined}}}}
      - http: {{post: /broken, name: broken, multipart: {{name: file, random: 20MB}}}}
phases: [{{name: one, duration: 60s, load: {{a: {{users: 4, iterations: 5}}}}}}]
",
        target.url()
    ));
    let record = bench.record();
    accounts_hold(&record);
    let (large, broken) = (step(&record, "large"), step(&record, "broken"));
    assert_eq!((&large["codes"], &large["errors"]), (&serde_json::json!({"413": 20}), &serde_json::json!({"status": 20})));
    assert_eq!((&broken["codes"], &broken["errors"]), (&serde_json::json!({}), &serde_json::json!({"reset": 20})));
    assert_eq!(named(&record["phases"][0]["checks"], "check", "unsent")["failures"], 0);
    assert!(count(&large["sent_bytes"]) < 20 * 20_000_000, "what is refused is not sent to its end");
    assert_eq!(record["phases"][0]["transfers"], serde_json::json!([]), "no upload was whole");
    let sample = &large["samples"][0];
    assert_eq!((&sample["status"], &sample["body"]), (&413.into(), &"too large".into()), "{sample}");
}

/// Users at once, and megabytes for each in either direction.
const USERS: usize = 20;
const MEGABYTES: usize = 20;

#[test]
fn no_body_is_ever_in_memory_as_a_whole() {
    // Reads only once all uploads are under way, so that all are in flight at once.
    let (begun, all) = (Arc::new(Mutex::new(0)), Arc::new(Condvar::new()));
    let served = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&served);
    let target = Hostile::accept(move |mut stream, _| {
        while let Some((head, length)) = head(&mut stream) {
            if head.starts_with("POST") {
                let mut number = begun.lock().unwrap();
                *number += 1;
                all.notify_all();
                drop(all.wait_while(number, |number| *number < USERS).unwrap());
                swallow(&mut stream, length).unwrap();
                counted.fetch_add(length, Ordering::Relaxed);
                stream.write_all(answer("201 Created", "").as_bytes()).unwrap();
            } else {
                let length = MEGABYTES * 1_000_000;
                write!(stream, "HTTP/1.1 206 Partial Content\r\ncontent-length: {length}\r\n\r\n").unwrap();
                let chunk = vec![0; 100_000];
                (0..length / chunk.len()).for_each(|_| stream.write_all(&chunk).unwrap());
            }
        }
    });
    let bench = Bench::new();
    std::fs::File::create(bench.path().join("half")).unwrap().set_len(MEGABYTES as u64 * 500_000).unwrap();
    bench.run(&format!(
        "name: memory
defaults: {{http: {{base_url: \"{}\", timeout: 80s}}}}
scenarios:
  a:
    flow:
      - http: {{post: /, name: up, multipart: [{{name: a, random: {half}MB}}, {{name: b, file: half}}], expect: {{status: 201}}}}
      - http: {{get: /, name: down, headers: {{range: bytes=0-}}, expect: {{status: 206, that: response.body_bytes == {whole}}}}}
phases: [{{name: one, duration: 80s, load: {{a: {{users: {USERS}, iterations: 1}}}}}}]
",
        target.url(),
        half = MEGABYTES / 2,
        whole = MEGABYTES * 1_000_000,
    ));
    let record = bench.record();
    for name in ["up", "down"] {
        let step = step(&record, name);
        assert_eq!((count(&step["requests"]), &step["errors"]), (USERS as u64, &serde_json::json!({})), "{step}");
    }
    assert!(served.load(Ordering::Relaxed) > USERS * MEGABYTES * 1_000_000);
    let memory = count(&record["generator"]["memory_bytes"]);
    // The bodies of either direction together are nearly three times as much.
    assert!(memory < 150_000_000, "{} MB", memory / 1_000_000);
}
