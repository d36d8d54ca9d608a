//! Functions against published values, and what is random against what is promised of it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::Bench;
use crate::expr::functions::{stripe_signature, unix_now};
use crate::expr::{ScenarioValues, Scope};

#[test]
fn digests_and_encodings() {
    let mut bench = Bench::new();
    bench.set("a", "key");
    for holds in [
        // RFC 4231, test case 2; the empty text's SHA-256; RFC 4648.
        "hmac_sha256('Jefe', 'what do ya want for nothing?') == '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843'",
        "sha256('') == 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'",
        "base64('foob') == 'Zm9vYg=='",
        "urlencode('a b/ü&~') == 'a%20b%2F%C3%BC%26~'",
        "'a b' | urlencode == 'a%20b'",
        "sha256(5) == sha256('5')",
        "timestamp(1700000000) == 1700000000 and timestamp(1700000000500) == 1700000000.5",
        "timestamp('2023-11-14T22:13:20.5Z') == 1700000000.5 and timestamp('2023-11-14T23:13:20+01:00') == 1700000000",
        "now() > 1700000000 and now() <= now()",
        "range(3) == [0, 1, 2] and range(1, 8, 3) == [1, 4, 7] and range(3, 0, -1) == [3, 2, 1] and range(0) == []",
        "[1, 2] | tojson == '[1,2]' and none | tojson == 'null'",
    ] {
        assert_eq!(bench.truth(holds), Ok(true), "{holds}");
    }
    for fails in [
        "timestamp('yesterday')",
        "random_int(5, 1)",
        "random_int(1.5, 2)",
        "pick([])",
        "pick('text')",
        "random_string(-1)",
        "random_text(5, 1)",
    ] {
        assert!(bench.value(fails).is_err(), "{fails}");
    }
}

#[test]
fn stripe_signs_time_and_body() {
    let mut bench = Bench::new();
    let header = bench.text("{{ stripe_signature('whsec', '{\"a\":1}') }}").unwrap();
    let (time, signature) = header.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    assert_eq!(bench.text(&format!("{{{{ hmac_sha256('whsec', '{time}.{{\"a\":1}}') }}}}")).unwrap(), signature);
}

/// Stripe's scheme (`t=…,v1=HMAC-SHA256(secret, "t.body")`), held to a value that others computed:
///
/// ```text
/// $ printf '%s' '1492774577.{"id":"evt_1","object":"event"}' | openssl dgst -sha256 -hmac whsec_test_secret
/// >>> hmac.new(b"whsec_test_secret", b'1492774577.{"id":"evt_1","object":"event"}', hashlib.sha256).hexdigest()
/// ```
#[test]
fn stripe_signs_as_others_do() {
    const SECRET: &str = "whsec_test_secret";
    const BODY: &str = r#"{"id":"evt_1","object":"event"}"#;
    assert_eq!(
        stripe_signature(SECRET.as_bytes(), BODY.as_bytes(), 1_492_774_577).unwrap(),
        "t=1492774577,v1=654b43d3508ecadb3f8cefc4bc7d3d2bdc5ba9e03bf2c89b2d0657a8e24e4543"
    );
    // The function signs now, by the same scheme.
    let mut bench = Bench::new();
    bench.set("a", BODY);
    let before = unix_now().as_secs();
    let header = bench.text("{{ stripe_signature('whsec_test_secret', a) }}").unwrap();
    let time: u64 = header.strip_prefix("t=").and_then(|rest| rest.split_once(',')).unwrap().0.parse().unwrap();
    assert!((before..=unix_now().as_secs()).contains(&time), "{header}");
    assert_eq!(header, stripe_signature(SECRET.as_bytes(), BODY.as_bytes(), time).unwrap());
}

#[test]
fn metric_is_this_runs_total() {
    let mut bench = Bench::new();
    bench.names = bench.names.with_totals(["votes_total".to_owned()], ["vote".to_owned()]);
    assert!(bench.value("metric('votes_total')").is_err());
    let metrics = Some(BTreeMap::from([("votes_total".to_owned(), 12.0)]));
    bench.scope = Scope::new(Arc::new(ScenarioValues { metrics, ..ScenarioValues::default() }), 0);
    assert_eq!(bench.text("{{ metric('votes_total') }}").unwrap(), "12");
    assert!(bench.value("lost('vote')").is_err());
    let lost = Some(BTreeMap::from([("vote".to_owned(), 3)]));
    bench.scope = Scope::new(Arc::new(ScenarioValues { lost, ..ScenarioValues::default() }), 0);
    assert_eq!(bench.text("{{ lost('vote') }}").unwrap(), "3");
}

/// What a user draws in an iteration.
fn draws(seed: u64, user: u64, iteration: u64) -> String {
    let mut bench = Bench::new();
    bench.scope = Scope::new(Arc::new(ScenarioValues { seed, ..ScenarioValues::default() }), user);
    bench.scope.begin_iteration(iteration);
    bench.text("{{ random_int(0, 1000000) }} {{ random_int(-5, 5) }} {{ pick(range(1000)) }} {{ pick(range(1000)) }}").unwrap()
}

#[test]
fn choices_are_fixed_by_the_seed() {
    assert_eq!(draws(1, 2, 3), draws(1, 2, 3));
    let different: HashSet<String> = [draws(1, 2, 3), draws(2, 2, 3), draws(1, 3, 3), draws(1, 2, 4)].into();
    assert_eq!(different.len(), 4);
}

#[test]
fn choices_stay_within_their_bounds() {
    let mut bench = Bench::new();
    let seen: HashSet<i64> = (0..500).map(|_| bench.value("random_int(-2, 2)").unwrap().as_i64().unwrap()).collect();
    assert_eq!(seen, (-2..=2).collect());
    let seen: HashSet<String> = (0..200).map(|_| bench.text("{{ pick(['x', 'y']) }}").unwrap()).collect();
    assert_eq!(seen, ["x".to_owned(), "y".to_owned()].into());
    assert!(bench.value("random_int(-9223372036854775808, 9223372036854775807)").is_ok());
    let lengths: HashSet<usize> = (0..200).map(|_| bench.text("{{ random_text(3, 6) }}").unwrap().len()).collect();
    assert_eq!(lengths, (3..=6).collect());
    assert_eq!(bench.text("{{ random_string(40) }}").unwrap().len(), 40);
    assert_eq!(bench.text("{{ random_string(0) }}{{ random_text(0, 0) }}").unwrap(), "");
}

#[test]
fn ids_and_filler_text_never_come_twice() {
    let run = || {
        // Same seed, same user, same iteration: another run of the same profile.
        let mut bench = Bench::new();
        (0..1000).map(move |_| bench.text("{{ uuid() }} {{ random_string(16) }} {{ random_text(40, 40) }}").unwrap())
    };
    let mut seen = HashSet::new();
    for (i, drawn) in run().chain(std::thread::spawn(move || run().collect::<Vec<_>>()).join().unwrap()).enumerate() {
        for part in drawn.splitn(3, ' ') {
            assert!(seen.insert(part.to_owned()), "{part} came again at {i}");
        }
        let id = uuid::Uuid::parse_str(&drawn[..36]).unwrap();
        assert_eq!((id.get_version_num(), id.get_variant()), (4, uuid::Variant::RFC4122));
    }
}
