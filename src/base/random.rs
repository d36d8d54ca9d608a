//! Random streams that are keyed, not shared: the same key gives the same stream on every worker and in every run.
//!
//! Generator: SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014), whose 64-bit
//! state makes a stream as cheap as an integer. It is for choices, think times and arrivals, never for secrets.

/// One stream of random numbers.
#[derive(Debug, Clone)]
pub struct Stream {
    state: u64,
}

/// The odd constant of SplitMix64: 2^64 divided by the golden ratio.
const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Stream {
    /// The stream of a key, for instance `[seed, scenario, user, iteration]`.
    pub fn keyed(key: &[u64]) -> Self {
        let mut state = GAMMA;
        for part in key {
            state = mix(state ^ mix(part.wrapping_add(GAMMA)));
        }
        Self { state }
    }

    /// The next 64 bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GAMMA);
        mix(self.state)
    }

    /// Uniform in `[0, 1)`, with 53 bits.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in `0..n` by widening multiplication (Lemire); 0 if `n` is 0. The bias is below n/2^64.
    #[inline]
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// Exponential with mean 1: the gap of a Poisson process of rate 1.
    pub fn exponential(&mut self) -> f64 {
        -(1.0 - self.unit()).ln()
    }

    /// Standard normal (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = (2.0 * self.exponential()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_key_same_stream_other_key_other_stream() {
        let draw = |key: &[u64]| {
            let mut stream = Stream::keyed(key);
            (0..4).map(|_| stream.next_u64()).collect::<Vec<_>>()
        };
        assert_eq!(draw(&[42, 1, 7]), draw(&[42, 1, 7]));
        assert_ne!(draw(&[42, 1, 7]), draw(&[42, 7, 1]));
        assert_ne!(draw(&[42, 0]), draw(&[42, 0, 0]));
    }

    #[test]
    fn moments_are_right() {
        let mut stream = Stream::keyed(&[1]);
        let n = 200_000;
        let mean = |f: &mut dyn FnMut() -> f64| (0..n).map(|_| f()).sum::<f64>() / f64::from(n);
        assert!((mean(&mut || stream.unit()) - 0.5).abs() < 0.005);
        assert!((mean(&mut || stream.exponential()) - 1.0).abs() < 0.02);
        assert!(mean(&mut || stream.normal()).abs() < 0.02);
        assert!((mean(&mut || stream.below(6) as f64) - 2.5).abs() < 0.02);
        assert_eq!(stream.below(0), 0);
    }
}
