//! Exemplars on histograms: as fields that Prometheus' own messages have and the `prometheus` crate's don't (3 of a bucket, 16 of a
//! histogram), and read back from there for OpenMetrics.

use protobuf::{UnknownFields, UnknownValueRef};

use prometheus::proto::Bucket;

use super::varint::varint;
use crate::measure::exemplars::Exemplar;

/// A bucket's exemplar.
const OF_BUCKET: u32 = 3;
/// A native histogram's exemplars.
const OF_HISTOGRAM: u32 = 16;

/// Puts exemplars, the shortest first, into the classic buckets that they are in, the newest where there are several.
pub(super) fn classic(buckets: &mut [Bucket], exemplars: &[Exemplar]) {
    let mut lowest = f64::NEG_INFINITY;
    for bucket in buckets {
        let bound = bucket.upper_bound();
        let inside = exemplars.iter().filter(|exemplar| lowest < exemplar.value && exemplar.value <= bound);
        if let Some(newest) = inside.max_by(|one, other| one.at.total_cmp(&other.at)) {
            bucket.special_fields.mut_unknown_fields().add_length_delimited(OF_BUCKET, message(newest));
        }
        lowest = bound;
    }
}

/// Puts exemplars beside the native buckets.
pub(super) fn native(fields: &mut UnknownFields, exemplars: &[Exemplar]) {
    exemplars.iter().for_each(|exemplar| fields.add_length_delimited(OF_HISTOGRAM, message(exemplar)));
}

/// A bucket's exemplar as OpenMetrics writes it behind the value, or nothing.
pub(super) fn text(bucket: &Bucket) -> Option<String> {
    let Some(UnknownValueRef::LengthDelimited(bytes)) = bucket.special_fields.unknown_fields().get(OF_BUCKET) else {
        return None;
    };
    let exemplar = Written::parse(bytes)?;
    Some(format!(" # {{trace_id=\"{}\"}} {:?} {:.3}", exemplar.trace, exemplar.value, exemplar.at))
}

/// `Exemplar`: 1 label, 2 value, 3 timestamp.
fn message(exemplar: &Exemplar) -> Vec<u8> {
    let mut label = UnknownFields::new();
    label.add_length_delimited(1, b"trace_id".to_vec());
    label.add_length_delimited(2, exemplar.trace.to_string().into_bytes());
    let mut at = UnknownFields::new();
    at.add_varint(1, exemplar.at as u64);
    at.add_varint(2, (exemplar.at.fract() * 1e9) as u64);
    let mut out = Vec::with_capacity(80);
    delimited(1, &label.write_to_bytes(), &mut out);
    out.push(2 << 3 | 1);
    out.extend(exemplar.value.to_le_bytes());
    delimited(3, &at.write_to_bytes(), &mut out);
    out
}

fn delimited(number: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(number << 3 | 2);
    varint(bytes.len() as u64, out);
    out.extend(bytes);
}

/// What [`message`] wrote, taken apart again.
struct Written {
    trace: String,
    value: f64,
    at: f64,
}

impl Written {
    fn parse(bytes: &[u8]) -> Option<Self> {
        use protobuf::CodedInputStream;
        let mut input = CodedInputStream::from_bytes(bytes);
        let (mut trace, mut value, mut at) = (None, None, None);
        while let Some(tag) = input.read_raw_tag_or_eof().ok()? {
            match tag >> 3 {
                1 => {
                    let label = input.read_bytes().ok()?;
                    // Its second field, behind `trace_id`: a byte of tag, a byte of length, the text.
                    let text = label.get(2 + "trace_id".len() + 2..)?;
                    trace = Some(String::from_utf8(text.to_vec()).ok()?);
                }
                2 => value = Some(input.read_double().ok()?),
                _ => {
                    let inner = input.read_bytes().ok()?;
                    let mut time = CodedInputStream::from_bytes(&inner);
                    let (mut seconds, mut nanos) = (0, 0);
                    while let Some(tag) = time.read_raw_tag_or_eof().ok()? {
                        match tag >> 3 {
                            1 => seconds = time.read_uint64().ok()?,
                            _ => nanos = time.read_uint64().ok()?,
                        }
                    }
                    at = Some(seconds as f64 + nanos as f64 / 1e9);
                }
            }
        }
        Some(Self { trace: trace?, value: value?, at: at? })
    }
}
