//! Numbers that flags take, with errors in plain words.

use crate::experiment::limits::MOST_THREADS;
use std::str::FromStr;

/// A whole number of 0 or more.
pub(crate) fn whole<T: FromStr>(text: &str) -> Result<T, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits => Ok(number),
        _ if digits => Err("is too large".to_owned()),
        _ => Err("must be a whole number of 0 or more".to_owned()),
    }
}

/// How many threads.
pub(crate) fn threads(text: &str) -> Result<usize, String> {
    match whole(text)? {
        threads @ 1..=MOST_THREADS => Ok(threads),
        _ => Err(format!("must be from 1 to {MOST_THREADS}")),
    }
}

/// A finite number.
pub(crate) fn number(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| "must be a number".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_or_refused_in_words() {
        assert_eq!(whole::<u32>("7"), Ok(7));
        for wrong in ["", "-1", "+1", "2.5", "ten", "0x1"] {
            let message = whole::<u64>(wrong).unwrap_err();
            assert_eq!(message, "must be a whole number of 0 or more", "{wrong}");
        }
        assert_eq!(whole::<u32>("4294967296").unwrap_err(), "is too large");
        assert_eq!((threads("1"), threads("1024")), (Ok(1), Ok(1024)));
        for wrong in ["0", "1025", "100000"] {
            assert_eq!(threads(wrong).unwrap_err(), "must be from 1 to 1024");
        }
        assert_eq!(number("-2.5e1"), Ok(-25.0));
        for wrong in ["", "nan", "inf", "1,5"] {
            assert_eq!(number(wrong).unwrap_err(), "must be a number", "{wrong}");
        }
    }
}
