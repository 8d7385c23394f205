//! Rounding: from sums in i32 to i8, as ONNX specifies it.
//!
//! `QLinearConv` computes `y = saturate(round(sum · (x_scale · w_scale / y_scale)))` where all zero points are 0. Every kernel
//! does these steps in f32 (IEEE 754 single precision, rounding to nearest, ties to even), one after the other:
//!
//! 1. the multiplier `(x_scale · w_scale) / y_scale`, once per channel, at load;
//! 2. `sum + bias` in i32, modulo 2^32;
//! 3. its conversion to f32;
//! 4. the product with the multiplier;
//! 5. the limits −128 (0 if a ReLU follows) and 127;
//! 6. rounding to the nearest integer, ties to even.
//!
//! Limiting before rounding gives what rounding before limiting gives, and keeps the conversion to an integer in range.
//! The function does not decrease in the sum, which is why ReLU and max-pooling may be done on the sums.

/// One sum, with its bias → i8.
///
/// `lowest` is −128, or 0 where a ReLU follows. The multiplier is finite and not negative.
pub fn requantize(sum: i32, multiplier: f32, lowest: f32) -> i8 {
    saturate(sum as f32 * multiplier, lowest)
}

/// The last two steps: limits, and rounding.
pub(crate) fn saturate(value: f32, lowest: f32) -> i8 {
    value.max(lowest).min(127.0).round_ties_even() as i8
}

/// The multiplier of a channel. `None` unless it is finite and positive.
pub fn multiplier(x_scale: f32, w_scale: f32, y_scale: f32) -> Option<f32> {
    let multiplier = (x_scale * w_scale) / y_scale;
    (multiplier.is_finite() && multiplier > 0.0).then_some(multiplier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_even_neighbour() {
        let halves = [(1, 0), (3, 2), (5, 2), (7, 4), (-1, 0), (-3, -2), (-5, -2), (-7, -4), (253, 126), (254, 127)];
        for (sum, expected) in halves {
            assert_eq!(requantize(sum, 0.5, -128.0), expected, "{sum} halves");
        }
    }

    #[test]
    fn values_beyond_the_range_saturate() {
        assert_eq!(requantize(i32::MAX, 1e30, -128.0), 127);
        assert_eq!(requantize(i32::MIN, 1e30, -128.0), -128);
        assert_eq!(requantize(i32::MIN, 1e30, 0.0), 0);
        assert_eq!(requantize(-128, 1.0, -128.0), -128);
        assert_eq!(requantize(-129, 1.0, -128.0), -128);
    }

    #[test]
    fn sums_beyond_24_bits_are_rounded_to_f32_first() {
        // 2^24 + 1 lies between two floats and goes to 2^24, the even one: then exactly 64.0, 64.5 and 63.5.
        assert_eq!(requantize(16_777_217, 64.0 / 16_777_216.0, -128.0), 64);
        assert_eq!(requantize(16_777_217, 64.5 / 16_777_216.0, -128.0), 64);
        assert_eq!(requantize(16_777_217, 63.5 / 16_777_216.0, -128.0), 64);
        assert_eq!(requantize(16_777_219, 62.5 / 16_777_216.0, -128.0), 63);
    }

    #[test]
    fn multipliers_that_are_no_number_are_refused() {
        assert_eq!(multiplier(0.5, 0.25, 0.125), Some(1.0));
        assert_eq!(multiplier(f32::MAX, f32::MAX, 1.0), None);
        assert_eq!(multiplier(1e-30, 1e-30, 1.0), None);
    }
}
