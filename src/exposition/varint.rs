//! Whole numbers as protobuf writes them.

/// Protobuf's encoding of signed numbers: small magnitudes become small numbers.
pub(super) fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

/// Protobuf's encoding of a number: seven bits a byte, the lowest first.
pub(super) fn varint(mut n: u64, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}
