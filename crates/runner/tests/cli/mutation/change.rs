//! Accidental changes to a text, by a sequence of pseudo-random numbers.

use serde_json::Value;

/// Values that numbers and words are replaced by.
const EXTREMES: &[&str] = &[
    "0",
    "1",
    "-1",
    "-0.0",
    "0.5",
    "2147483648",
    "4294967295",
    "9007199254740993",
    "1000000000000000000",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "18446744073709551615",
    "340282366920938463463374607431768211456",
    "1e-320",
    "1e300",
    "-1e300",
    "nan",
    "inf",
    "-inf",
    ".nan",
    ".inf",
    "null",
    "true",
    "\"\"",
    "''",
    "\"relu\"",
    "[]",
    "{}",
    "[1, 1]",
];

/// Values that many keys take, so that some cases are planned.
const USUAL: &[&str] = &["1", "2", "3", "7", "16", "0.1", "0.5", "1e-3", "1.0", "[3, 4]", "cosine"];

/// Bytes that mean something to a reader of TOML, YAML, JSON or CSV, and some that mean nothing to any.
const BYTES: &[u8] = b"\"'[]{}=:,.#-&*!|>%@\\\n\t 0919eE+\0\xff\xc3";

/// A sequence of pseudo-random numbers: SplitMix64 (Steele, Lea and Flood 2014).
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, or 0 if that is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// `text` with one to three changes: to bytes, to lines, to numbers, or to words.
pub(crate) fn mutated(text: impl AsRef<[u8]>, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = text.as_ref().to_vec();
    for _ in 0..1 + dice.below(6) / 4 * (1 + dice.below(2)) {
        change(&mut bytes, dice);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.below(bytes.len());
    match dice.below(12) {
        0 if !bytes.is_empty() => bytes[at] = *dice.pick(BYTES),
        1 if !bytes.is_empty() => drop(bytes.remove(at)),
        2 => bytes.insert(at, *dice.pick(BYTES)),
        3 if dice.below(4) == 0 => bytes.truncate(at),
        4 => lines(bytes, dice, |lines, dice| drop(lines.remove(dice.below(lines.len())))),
        5 => lines(bytes, dice, |lines, dice| {
            let line = dice.pick(lines).clone();
            lines.insert(dice.below(lines.len()), line);
        }),
        6 => lines(bytes, dice, |lines, dice| {
            let (a, b) = (dice.below(lines.len()), dice.below(lines.len()));
            lines.swap(a, b);
        }),
        7 => token(bytes, dice, |c| c.is_ascii_alphabetic() || c == b'_', false),
        8 => token(bytes, dice, |c| c.is_ascii_alphabetic() || c == b'_', true),
        _ => token(bytes, dice, |c| c.is_ascii_digit() || c == b'.', true),
    }
}

fn lines(bytes: &mut Vec<u8>, dice: &mut Dice, change: impl Fn(&mut Vec<Vec<u8>>, &mut Dice)) {
    let mut lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    change(&mut lines, dice);
    *bytes = lines.join(&b'\n');
}

/// Replaces a word or number whose characters `of` knows: by an extreme value, or by another word of the text.
fn token(bytes: &mut Vec<u8>, dice: &mut Dice, of: impl Fn(u8) -> bool, extreme: bool) {
    let mut tokens = Vec::new();
    let mut start = None;
    for (i, byte) in bytes.iter().chain(std::iter::once(&b'\n')).enumerate() {
        match (of(*byte), start) {
            (true, None) => start = Some(i),
            (false, Some(begin)) => {
                tokens.push(begin..i);
                start = None;
            }
            _ => {}
        }
    }
    if tokens.is_empty() {
        return;
    }
    let other = bytes[dice.pick(&tokens).clone()].to_vec();
    let new = if extreme { value(dice).as_bytes().to_vec() } else { other };
    bytes.splice(dice.pick(&tokens).clone(), new);
}

/// A value that is usual, or extreme.
pub(crate) fn value(dice: &mut Dice) -> &'static str {
    let kind = dice.below(3);
    let values = if kind == 0 { USUAL } else { EXTREMES };
    values[dice.below(values.len())]
}

/// `bytes` as a disk may leave them: empty, cut off, with a block of zeros, with a flipped bit, or with bytes behind
/// the end.
pub(crate) fn damaged(mut bytes: Vec<u8>, dice: &mut Dice) -> Vec<u8> {
    let at = dice.below(bytes.len());
    match dice.below(5) {
        0 => bytes.clear(),
        1 => bytes.truncate(at),
        2 => {
            let end = bytes.len().min(at + 1 + dice.below(600));
            bytes[at..end].fill(0);
        }
        3 if !bytes.is_empty() => bytes[at] ^= 1 << dice.below(8),
        _ => bytes.extend_from_within(at..),
    }
    bytes
}

/// Changes one value somewhere in `json`: it is removed, doubled, or replaced by an extreme one or by another value of
/// the same place.
pub(crate) fn change_json(json: &mut Value, dice: &mut Dice) {
    let inside = match json {
        Value::Object(fields) => !fields.is_empty() && dice.below(8) != 0,
        Value::Array(items) => !items.is_empty() && dice.below(8) != 0,
        _ => false,
    };
    match json {
        Value::Object(fields) if inside => {
            let keys: Vec<String> = fields.keys().cloned().collect();
            let key = dice.pick(&keys).clone();
            match dice.below(12) {
                0 => drop(fields.remove(&key)),
                1 => {
                    let other = fields[dice.pick(&keys)].clone();
                    fields.insert(key, other);
                }
                2 => {
                    let field = fields.remove(&key).unwrap_or_default();
                    fields.insert(format!("{key}x"), field);
                }
                _ => change_json(&mut fields[&key], dice),
            }
        }
        Value::Array(items) if inside => {
            let at = dice.below(items.len());
            match dice.below(8) {
                0 => drop(items.remove(at)),
                1 => items.push(items[at].clone()),
                2 => items.clear(),
                _ => change_json(&mut items[at], dice),
            }
        }
        // Text that no JSON is becomes a string.
        _ => {
            let text = value(dice);
            *json = serde_json::from_str(text).unwrap_or_else(|_| text.trim_matches('"').into());
        }
    }
}
