//! The parser against texts as exporters write them, against mistakes, and against anything at all.

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Exposition, ParseError> {
    Exposition::parse(text, Format::Text)
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn reads_what_exporters_write() {
    let text = "# HELP http_requests_total The total.\n# TYPE http_requests_total counter\n\
                http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000\n\
                http_requests_total{code=\"400\" , method=\"post\",} 3\n\n# a comment\n#\n\
                msdos_file_access_time_seconds{path=\"C:\\\\DIR\\\\FILE.TXT\",error=\"Cannot find file:\\n\\\"FILE.TXT\\\"\"} 1.458255915e9\n\
                metric_without_timestamp_and_labels\t12.47\n something_weird { problem = \"division by zero\" } +Inf -3982045\n\
                empty{} NaN\nnow{a=\"{}, # = 1\"}-Inf\n";
    let got = parse(text).unwrap();
    assert_eq!(got.samples.len(), 7);
    assert_eq!(got.samples[0].labels, labels(&[("code", "200"), ("method", "post")]));
    assert_eq!((got.samples[0].value, got.samples[0].timestamp), (1027.0, Some(1_395_066_363.0)));
    assert_eq!(got.samples[2].labels[0].1, "Cannot find file:\n\"FILE.TXT\"");
    assert_eq!(got.samples[2].labels[1].1, "C:\\DIR\\FILE.TXT");
    assert_eq!(got.samples[3].value, 12.47);
    assert_eq!((got.samples[4].value, got.samples[4].timestamp), (f64::INFINITY, Some(-3982.045)));
    assert!(got.samples[5].value.is_nan() && got.samples[5].labels.is_empty());
    assert_eq!((got.samples[6].labels[0].1.as_str(), got.samples[6].value), ("{}, # = 1", f64::NEG_INFINITY));
    assert_eq!(got.kind_of("http_requests_total"), Some(MetricKind::Counter));
    assert_eq!(got.kind_of("empty"), None);
}

#[test]
fn reads_openmetrics() {
    let text = "# TYPE acme_http_router_request_seconds histogram\n# UNIT acme_http_router_request_seconds seconds\n\
                acme_http_router_request_seconds_bucket{le=\"1.0\"} 5 1520879607.789 # {trace_id=\"a b\"} 0.67 1520879606\n\
                acme_http_router_request_seconds_count 5\n# TYPE ok counter\nok_total 3 # {} 1\nok_created 1520430000.123\n\
                # TYPE build info\nbuild_info{version=\"1\"} 1\n# EOF\n";
    let got = Exposition::parse(text, Format::OpenMetrics).unwrap();
    assert_eq!(got.samples.len(), 5);
    assert_eq!(got.samples[0].timestamp, Some(1_520_879_607.789));
    assert_eq!(got.kind_of("ok_total"), Some(MetricKind::Counter));
    assert_eq!(got.kind_of("acme_http_router_request_seconds_count"), Some(MetricKind::Counter));
    assert_eq!(got.kind_of("build_info"), Some(MetricKind::Gauge));
    let cut = &text[..text.len() - "# EOF\n".len()];
    assert!(Exposition::parse(cut, Format::OpenMetrics).unwrap_err().message.contains("# EOF"));
    let unended = Exposition::parse(text.trim_end(), Format::OpenMetrics).unwrap();
    assert_eq!((unended.samples, unended.odd), (got.samples, Vec::new()));
    let more = format!("{text}x 1\n");
    assert!(Exposition::parse(&more, Format::OpenMetrics).unwrap_err().message.contains("after `# EOF`"));
}

#[test]
fn what_prometheus_reads_over_is_odd_and_read_all_the_same() {
    let cases = [
        ("a 1\nb 12", 2, "no end"),
        ("a{b=\"1\"} 1\na{b=\"1\"} 2\n", 1, "series `a{b=\"1\"} 2` is there twice"),
        ("# TYPE a gauge\n# TYPE a counter\na 1\n", 1, "two types"),
        ("# TYPE a countre\na 1\n", 1, "`countre` is not a type"),
        ("# TYPE a\na 1\n", 1, "# TYPE name type"),
    ];
    for (text, samples, message) in cases {
        let got = parse(text).expect(text);
        assert_eq!((got.samples.len(), got.samples[0].value, got.odd.len()), (samples, 1.0, 1), "{text}");
        let warnings: Vec<String> = got.warnings().collect();
        assert!(warnings[0].contains(message), "{warnings:?}");
        assert_eq!(got.odd[0].lost, None);
    }
    assert_eq!(parse("# TYPE a gauge\n# TYPE a counter\na 1\n").unwrap().kind_of("a"), Some(MetricKind::Gauge));
}

#[test]
fn a_line_that_cant_be_read_spoils_its_metric_only() {
    // All of it: of which series the line is nobody knows.
    let got = parse("a 1\nb{x=\"y} 2\nb{x=\"z\"} 4\nc 3\n").unwrap();
    assert_eq!(got.samples.iter().map(|sample| sample.value).collect::<Vec<_>>(), [1.0, 3.0]);
    assert_eq!((got.odd[0].line, got.odd[0].lost.as_deref()), (2, Some("b")));
    let warning = got.warnings().next().unwrap();
    assert!(warning.contains("line 2: a label's value isn't closed") && warning.ends_with("; b is left out"), "{warning}");
}

#[test]
fn names_of_any_characters_are_read_and_what_can_not_be_spoils_no_other() {
    let got = parse(
        "# TYPE \"app.http.requests\" counter\n{\"app.http.requests\",p=\"a\"} 1\na{\"b.c\"=\"d\"} 2\n{ \"x y\" } 3\n{\"up_total\",p=\"b\"} 4\n",
    );
    let got = got.unwrap();
    let read: Vec<_> = got.samples.iter().map(|sample| (sample.name.as_str(), sample.labels.clone(), sample.value)).collect();
    let expected = [
        ("app.http.requests", labels(&[("p", "a")]), 1.0),
        ("a", labels(&[("b.c", "d")]), 2.0),
        ("x y", Labels::new(), 3.0),
        ("up_total", labels(&[("p", "b")]), 4.0),
    ];
    assert_eq!((read.as_slice(), got.odd.len()), (&expected[..], 0));
    assert_eq!(got.kind_of("app.http.requests"), Some(MetricKind::Counter));
    let got = parse("a 1\n{\"b.c\",p=} 2\n{\"b.c\"} 2\n{p=\"x\"} 3\na{\"b\"} 4\n").unwrap();
    assert_eq!(got.samples.len(), 0, "{got:?}");
    let lost: Vec<_> = got.odd.iter().map(|odd| (odd.line, odd.lost.as_deref())).collect();
    assert_eq!(lost, [(2, Some("b.c")), (4, None), (5, Some("a"))]);
    assert!(parse("{\"error\":\"not found\"}\n").is_err() && parse("{}\n").is_err());
}

#[test]
fn a_name_that_an_excerpt_would_change_is_not_repeated() {
    let long = "b".repeat(300);
    let mut got = parse(&format!("a 1\n{long} x\nhunter2 x\nc x\n")).unwrap();
    got.shorten(|text| text.replace("hunter2", "***").chars().take(200).collect());
    assert_eq!(got.odd.iter().map(|odd| odd.lost.as_deref()).collect::<Vec<_>>(), [None, None, Some("c")]);
    let warnings: Vec<String> = got.warnings().collect();
    assert!(warnings.iter().all(|warning| warning.len() < 250 && !warning.contains("hunter2")), "{warnings:?}");
}

#[test]
fn every_mistake_is_reported_with_its_line() {
    let cases = [
        ("a\n", 1, "blank is expected"),
        ("a \n", 1, "value is missing"),
        ("a{} \n", 1, "value is missing"),
        ("a x\n", 1, "`x` is not a number"),
        ("a 1_000\n", 1, "not a number"),
        ("a 1 2 3\n", 1, "more than"),
        ("a 1 1.5\n", 1, "`1.5` is not a time"),
        ("a 1 # {x=\"y\"} 1\n", 1, "more than"),
        ("\n9a 1\n", 2, "name is expected"),
        ("a{b=\"c\" 1\n", 1, "`,` or `}`"),
        ("a{b=\"c} 1\n", 1, "isn't closed"),
        ("a{b=c} 1\n", 1, "must begin with"),
        ("a{b} 1\n", 1, "`=` is expected"),
        ("a{9=\"c\"} 1\n", 1, "label's name"),
        ("a{b=\"\\t\"} 1\n", 1, "may be escaped"),
        ("a{b=\"1\",b=\"2\"} 1\n", 1, "label is there twice"),
        ("<html><body>404</body></html>\n", 1, "name is expected"),
        ("404 page not found\n", 1, "name is expected"),
    ];
    for (text, line, message) in cases {
        let error = parse(text).expect_err(text);
        assert_eq!(error.line, line, "{text}: {error}");
        assert!(error.message.contains(message), "{text}: {error}");
    }
}

#[test]
fn the_content_type_names_the_format() {
    assert_eq!(Format::of(None), Some(Format::Text));
    assert_eq!(Format::of(Some("text/plain; version=0.0.4; charset=utf-8")), Some(Format::Text));
    assert_eq!(Format::of(Some("application/openmetrics-text; version=1.0.0")), Some(Format::OpenMetrics));
    assert_eq!(Format::of(Some("text/html; charset=utf-8")), None);
}

/// Written as an exporter would.
fn write(samples: &[Sample]) -> String {
    let mut text = String::new();
    for sample in samples {
        text += &sample.name;
        if !sample.labels.is_empty() {
            let escape = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let labels: Vec<String> = sample.labels.iter().map(|(n, v)| format!("{n}=\"{}\"", escape(v))).collect();
            text += &format!("{{{}}}", labels.join(","));
        }
        text += &format!(" {}", sample.value);
        if let Some(time) = sample.timestamp {
            text += &format!(" {}", (time * 1e3).round());
        }
        text.push('\n');
    }
    text
}

fn sample() -> impl Strategy<Value = Sample> {
    let label = ("[a-z_][a-z0-9_]{0,6}", "[^\\r\u{0}]{1,8}");
    (
        "[a-z_:][a-z0-9_:]{0,8}",
        proptest::collection::btree_map(label.0, label.1, 0..4),
        any::<f64>().prop_filter("NaN is no equal of itself", |v| !v.is_nan()),
        proptest::option::of((0i64..4_000_000_000_000).prop_map(|ms| ms as f64 / 1e3)),
    )
        .prop_map(|(name, labels, value, timestamp)| Sample { name, labels: labels.into_iter().collect(), value, timestamp })
}

proptest! {
    #[test]
    fn what_was_written_is_read(samples in proptest::collection::vec(sample(), 0..12)) {
        let mut seen = HashSet::new();
        let samples: Vec<Sample> = samples.into_iter()
            .filter(|s| seen.insert((s.name.clone(), s.labels.clone(), s.timestamp.map(f64::to_bits)))).collect();
        prop_assert_eq!(parse(&write(&samples)).unwrap().samples, samples);
    }

    #[test]
    fn a_text_that_was_cut_off_is_odd_or_an_error(samples in proptest::collection::vec(sample(), 1..5), cut in 0usize..10_000) {
        let text = write(&samples);
        let at = text.char_indices().map(|(i, _)| i).nth(cut % text.chars().count()).unwrap();
        // Cut right after a line, fewer samples are all that there is.
        prop_assume!(at > 0 && !text[..at].ends_with('\n'));
        prop_assert!(parse(&text[..at]).map_or(true, |got| got.odd.iter().any(|odd| odd.message.contains("no end"))));
    }

    #[test]
    fn anything_is_read_or_refused(text in "\\PC{0,40}\n?", noise in "[a-z{}=\",# \\\\\n0-9]{0,60}") {
        for text in [text, noise] {
            for format in [Format::Text, Format::OpenMetrics] {
                if let Ok(got) = Exposition::parse(&text, format) {
                    let filled = text.lines().map(|l| l.trim_matches([' ', '\t'])).filter(|l| !l.is_empty() && !l.starts_with('#'));
                    // Where a line is lost, so are the others of its metric.
                    let lost: HashSet<&str> = got.odd.iter().filter_map(|odd| odd.lost.as_deref()).collect();
                    let kept = |line: &str| line::name(line).is_none_or(|name| !lost.contains(&*name));
                    let twice = |odd: &&Odd| odd.lost.is_none() && odd.message.contains("is there twice");
                    let twice = got.odd.iter().filter(twice).filter(|odd| text.lines().nth(odd.line - 1).is_some_and(kept));
                    prop_assert_eq!(got.samples.len() + twice.count(), filled.filter(|line| kept(line)).count());
                }
            }
        }
    }
}
