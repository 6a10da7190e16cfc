//! How much a sweep can hold. Counts are checked against these before anything is allocated.

/// Seeds, tasks, activations, overrides, values of a parameter, points of a grid, and trials: at most so many of each.
pub(crate) const MOST: usize = 100_000;

/// Runs of a sweep, trials included.
pub(crate) const MOST_RUNS: u64 = 1_000_000;

/// Parts of a key, and of a name in a sweep file.
pub(crate) const MOST_PARTS: usize = 32;

/// Parameters that are tuned or set by a sweep file.
pub(crate) const MOST_PARAMETERS: usize = 1000;

/// Threads of one run.
pub(crate) const MOST_THREADS: usize = 1024;

/// Runs that are trained side by side.
pub(crate) const MOST_JOBS: usize = 1024;

/// Times that a run is begun again.
pub(crate) const MOST_RETRIES: u32 = 1000;

/// Whole numbers up to this size are exact in a floating point number.
pub(crate) const MOST_WHOLE: i64 = 1 << 53;

/// Refuses more than `most` of something, which `what` names in the plural.
pub(crate) fn within(count: usize, most: usize, what: &str) -> Result<(), String> {
    if count > most {
        return Err(format!(
            "holds {} {what}; at most {} are supported",
            grouped(count),
            grouped(most)
        ));
    }
    Ok(())
}

/// A number with commas between thousands.
pub(crate) fn grouped(number: impl std::fmt::Display) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_compared() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(1000), "1,000");
        assert_eq!(grouped(123_456_789), "123,456,789");
        assert_eq!(within(3, 3, "seeds"), Ok(()));
        assert_eq!(
            within(4000, 3, "seeds").unwrap_err(),
            "holds 4,000 seeds; at most 3 are supported"
        );
    }
}
