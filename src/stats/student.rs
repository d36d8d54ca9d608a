//! Student's t: how far an estimate may be off whose variance is estimated too.
//!
//! P(|T| > t) is the regularized incomplete beta function I(ν/2, 1/2) at ν/(ν + t²) (Abramowitz and Stegun, 26.7.1). The function is
//! its continued fraction (26.5.8; Lentz's method, Numerical Recipes, 6.4), and the quantile is found by halving an interval.

/// The t that a variable of Student's distribution with `freedom` degrees of freedom doesn't exceed with the probability `p`. `freedom`
/// may be any number above 0. NaN where it isn't, or where `p` isn't between 0 and 1.
pub fn quantile(p: f64, freedom: f64) -> f64 {
    if !(freedom > 0.0 && freedom.is_finite() && p > 0.0 && p < 1.0) {
        return f64::NAN;
    }
    if p < 0.5 {
        return -quantile(1.0 - p, freedom);
    }
    if p == 0.5 {
        return 0.0;
    }
    let outside = 2.0 * (1.0 - p);
    let (mut low, mut high) = (0.0, 1.0);
    while two_sided(high, freedom) > outside && high < f64::MAX / 2.0 {
        (low, high) = (high, 2.0 * high);
    }
    while high - low > 1e-14 * high {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            break;
        }
        if two_sided(middle, freedom) > outside { low = middle } else { high = middle }
    }
    high
}

/// P(|T| > t).
fn two_sided(t: f64, freedom: f64) -> f64 {
    let share = 1.0 / (1.0 + t / freedom * t);
    incomplete_beta(freedom / 2.0, 0.5, share)
}

/// The regularized incomplete beta function I(a, b) at `x`, which lies between 0 and 1.
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    let factor = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp();
    // On the other side of the mean it is the complement's fraction that converges fast.
    if x < (a + 1.0) / (a + b + 2.0) { factor * fraction(a, b, x) / a } else { 1.0 - factor * fraction(b, a, 1.0 - x) / b }
}

/// The continued fraction of the incomplete beta function.
fn fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away_from_0 = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away_from_0(1.0 - (a + b) * x / (a + 1.0));
    let mut h = d;
    for m in 1..10_000 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for term in [even, odd] {
            d = 1.0 / away_from_0(1.0 + term * d);
            c = away_from_0(1.0 + term / c);
            change = c * d;
            h *= change;
        }
        if (change - 1.0).abs() < 1e-15 {
            break;
        }
    }
    h
}

/// ln Γ(x) of x > 0 (Lanczos' approximation with g = 7 and nine terms, as tabulated by P. Godfrey; 15 digits).
fn ln_gamma(x: f64) -> f64 {
    const TERMS: [f64; 9] = [
        0.999_999_999_999_809_9,
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    if x < 0.5 {
        // Reflection: Γ(x)·Γ(1 - x) = π / sin(π·x).
        return (std::f64::consts::PI / (std::f64::consts::PI * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let sum: f64 = TERMS[0] + TERMS[1..].iter().zip(1..).map(|(term, i)| term / (x + f64::from(i))).sum::<f64>();
    let t = x + 7.5;
    0.5 * std::f64::consts::TAU.ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn as_tabulated() {
        // Any statistical table: two-sided 95 % and 99 %, one-sided 95 %.
        let table = [
            (1.0, 12.7062, 63.6567, 6.3138),
            (2.0, 4.3027, 9.9248, 2.9200),
            (3.0, 3.1824, 5.8409, 2.3534),
            (5.0, 2.5706, 4.0321, 2.0150),
            (10.0, 2.2281, 3.1693, 1.8125),
            (30.0, 2.0423, 2.7500, 1.6973),
            (120.0, 1.9799, 2.6174, 1.6577),
            (1e9, 1.9600, 2.5758, 1.6449),
        ];
        for (freedom, at_975, at_995, at_95) in table {
            for (p, expected) in [(0.975, at_975), (0.995, at_995), (0.95, at_95)] {
                let t = quantile(p, freedom);
                assert!((t - expected).abs() < 6e-5, "t({p}, {freedom}) = {t}, not {expected}");
                assert!((t + quantile(1.0 - p, freedom)).abs() < 1e-9 * t);
            }
        }
        assert_eq!(quantile(0.5, 7.0), 0.0);
    }

    #[test]
    fn exact_where_there_is_a_formula() {
        for p in [0.6_f64, 0.9, 0.975, 0.999] {
            // One degree is Cauchy's distribution, two have a root.
            let cauchy = (std::f64::consts::PI * (p - 0.5)).tan();
            assert!((quantile(p, 1.0) / cauchy - 1.0).abs() < 1e-10);
            let two = (2.0 * p - 1.0) * (2.0 / (4.0 * p * (1.0 - p))).sqrt();
            assert!((quantile(p, 2.0) / two - 1.0).abs() < 1e-10);
        }
    }

    #[test]
    fn what_has_no_quantile_is_no_number() {
        for (p, freedom) in [(0.0, 5.0), (1.0, 5.0), (0.975, 0.0), (0.975, -3.0), (f64::NAN, 5.0), (0.975, f64::NAN)] {
            assert!(quantile(p, freedom).is_nan(), "{p} {freedom}");
        }
    }

    proptest! {
        #[test]
        fn it_is_the_inverse_and_narrows_with_more_data(p in 0.501..0.9999f64, freedom in 0.2..5_000f64, more in 1.0..100f64) {
            let t = quantile(p, freedom);
            prop_assert!((1.0 - two_sided(t, freedom) / 2.0 - p).abs() < 1e-9, "{t}");
            prop_assert!(quantile(p, freedom + more) <= t * (1.0 + 1e-9));
        }
    }
}
