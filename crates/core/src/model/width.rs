//! Widths at which a gated model has as many parameters as a plain one.

/// Width of a gated feed-forward that replaces one of `width`: ⅔ of it (Shazeer 2020), since three
/// matrices take the place of two. Wide ones are rounded down to a multiple of 8, as in 1024 → 680.
#[must_use]
pub fn gated_feed_forward(width: usize) -> usize {
    if width >= 256 { width * 2 / 3 / 8 * 8 } else { (width * 4 + 3) / 6 }
}

/// Inner channels of a gated residual block from `input` to `output` channels.
///
/// A plain block has two 3×3 convolutions, `input → output → output`; a gated one has
/// `input → 2k` and `k → output`. Both have equally many weights at
/// k = output · (input + output) / (2 · input + output), which is ⅔ `output` where the width stays.
#[must_use]
pub fn gated_residual(input: usize, output: usize) -> usize {
    let (numerator, denominator) = (output * (input + output), 2 * input + output);
    ((2 * numerator + denominator) / (2 * denominator)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_and_matched_widths() {
        assert_eq!(gated_feed_forward(1024), 680);
        assert_eq!(gated_feed_forward(512), 336);
        assert_eq!(gated_feed_forward(32), 21);
        assert_eq!(gated_residual(16, 16), 11);
        assert_eq!(gated_residual(16, 32), 24);
        assert_eq!(gated_residual(32, 64), 48);
        assert_eq!(gated_residual(64, 64), 43);
    }
}
