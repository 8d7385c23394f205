//! The sigmoid, the same on every processor.

/// `1 / (1 + e^-logit)`.
///
/// It is computed in f64 and rounded once at the end: the result is the f32 nearest to the exact value, except where that lies
/// within 10^-15 of the middle between two. Only operations that IEEE 754 defines to the bit are used, and not the
/// exponential function of the system, so that host and box agree to the bit.
pub(crate) fn probability(logit: f32) -> f32 {
    let tail = exp(-f64::from(logit.abs()));
    let probability = if logit < 0.0 { tail / (1.0 + tail) } else { 1.0 / (1.0 + tail) };
    probability as f32
}

/// `e^x` for x <= 0, or NaN, to about 10^-15 of the value.
fn exp(x: f64) -> f64 {
    /// ln 2 to 32 bits, so that its product with a small integer is exact, and the rest of it.
    const LN_2: [f64; 2] = [f64::from_bits(0x3fe6_2e42_fee0_0000), f64::from_bits(0x3dea_39ef_3579_3c76)];
    // Below e^-150 the sigmoid is 0 or 1 in f32 anyway.
    if x < -150.0 {
        return 0.0;
    }
    // e^x = 2^k e^r with |r| <= ln 2 / 2, where 14 terms of the series suffice.
    let k = (x * std::f64::consts::LOG2_E).round_ties_even();
    let r = (x - k * LN_2[0]) - k * LN_2[1];
    let series = (1..=14).rev().fold(1.0, |sum, n| 1.0 + sum * r / f64::from(n));
    series * f64::from_bits(((1023 + k as i64) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_sigmoid() {
        assert_eq!(probability(0.0), 0.5);
        assert_eq!((probability(200.0), probability(-200.0)), (1.0, 0.0));
        assert_eq!((probability(f32::INFINITY), probability(f32::NEG_INFINITY)), (1.0, 0.0));
        assert!(probability(f32::NAN).is_nan());
        for i in -120_000..=120_000 {
            let logit = i as f32 / 1000.0;
            let expected = (1.0 / (1.0 + (-f64::from(logit)).exp())) as f32;
            let (found, expected) = (probability(logit).to_bits(), expected.to_bits());
            assert!(found.abs_diff(expected) <= 1, "{logit}");
        }
    }
}
