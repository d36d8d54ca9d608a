//! The trace that a request is sent with: W3C Trace Context, <https://www.w3.org/TR/trace-context/>.

use std::fmt;

/// A trace's id: 16 bytes, not all of them 0, written as 32 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(u128);

impl TraceId {
    /// The id with this number; 0, which is none, becomes 1.
    pub const fn of(number: u128) -> Self {
        Self(if number == 0 { 1 } else { number })
    }

    /// The header `traceparent` of a request of this trace: version 00, the parent span's id, and that it is sampled.
    pub fn parent(self, span: u64) -> String {
        format!("00-{self}-{:016x}-01", span.max(1))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_as_the_recommendation_has_it() {
        let trace = TraceId::of(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!(trace.parent(0xb7ad_6b71_6920_3331), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        assert_eq!(TraceId::of(0).parent(0), "00-00000000000000000000000000000001-0000000000000001-01", "0 is no id");
    }
}
