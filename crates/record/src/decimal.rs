//! Decimal numbers, as a table has millions of them: the same values as [`str::parse`] gives, in less time.

/// Powers of ten that double precision holds exactly, from 10⁰ to 10²².
const EXACT: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Whole numbers below this are exact in double precision.
const EXACT_WHOLE: u64 = 1 << 53;

/// Digits that 64 bits hold, whatever they are. The powers of ten up to this one fit too.
const MOST_DIGITS: usize = 19;

/// Powers of ten up to 10^19, scaled by a power of two to at least 2⁶³.
const DIVISORS: [Divisor; MOST_DIGITS + 1] = {
    let mut divisors = [Divisor::new(1); MOST_DIGITS + 1];
    let mut digits = 1;
    while digits <= MOST_DIGITS {
        divisors[digits] = Divisor::new(10_u64.pow(digits as u32));
        digits += 1;
    }
    divisors
};

/// The number at the beginning of `text`, and the bytes that it takes: digits with at most one point among them, as in
/// `0.25`. [`None`] of every other form, and of more digits than 64 bits hold.
#[inline(always)]
pub(crate) fn leading(text: &[u8]) -> Option<(f64, usize)> {
    let (whole, whole_digits) = match text {
        // As most numbers begin.
        [digit @ b'0'..=b'9', b'.', ..] => (u64::from(digit - b'0'), 1),
        _ => digits(0, text),
    };
    let rest = &text[whole_digits..];
    if rest.first() != Some(&b'.') {
        let short = (1..=MOST_DIGITS).contains(&whole_digits);
        return short.then_some((whole as f64, whole_digits));
    }
    let (mantissa, fraction_digits) = digits(whole, &rest[1..]);
    // Zeros before the first other digit are counted too, but for one: most numbers here begin with it.
    let counted = whole_digits - usize::from(whole_digits == 1 && whole == 0) + fraction_digits;
    if whole_digits == 0 || fraction_digits == 0 || counted > MOST_DIGITS {
        return None;
    }
    let value = if mantissa < EXACT_WHOLE {
        // Both are exact, so that the quotient is rounded once (Clinger 1990).
        mantissa as f64 / EXACT[fraction_digits]
    } else {
        DIVISORS[fraction_digits].quotient(mantissa)
    };
    Some((value, whole_digits + 1 + fraction_digits))
}

/// The digits at the beginning of `text` behind those of `number`, and how many they are. More than [`MOST_DIGITS`]
/// overflow.
#[inline(always)]
fn digits(mut number: u64, text: &[u8]) -> (u64, usize) {
    let mut count = 0;
    while let Some(eight) = text[count..].first_chunk().and_then(|bytes| eight_digits(*bytes)) {
        number = number.wrapping_mul(100_000_000).wrapping_add(eight);
        count += 8;
    }
    for byte in text[count..].iter().take_while(|byte| byte.is_ascii_digit()) {
        number = number.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
        count += 1;
    }
    (number, count)
}

/// The number that eight digits make (Lemire 2021, *Number parsing at a gigabyte per second*, section 4): pairs, then
/// fours, then all, side by side in one register.
#[inline(always)]
fn eight_digits(bytes: [u8; 8]) -> Option<u64> {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let text = u64::from_le_bytes(bytes);
    let digits = text.wrapping_sub(ZEROS);
    // 0x46 above a byte sets its high bit where it is more than '9'.
    if (text.wrapping_add(0x4646_4646_4646_4646) | digits) & HIGH != 0 {
        return None;
    }
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let even = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(100 + (1_000_000 << 32));
    let odd = ((pairs >> 16) & 0x0000_00ff_0000_00ff).wrapping_mul(1 + (10_000 << 32));
    Some(even.wrapping_add(odd) >> 32)
}

/// A number to divide by.
#[derive(Clone, Copy)]
struct Divisor {
    /// The number times 2^`shift`, which is at least 2⁶³.
    scaled: u64,
    shift: u32,
    /// ⌊(2¹²⁸ − 1) / scaled⌋ − 2⁶⁴.
    reciprocal: u64,
}

impl Divisor {
    const fn new(number: u64) -> Self {
        let shift = number.leading_zeros();
        let scaled = number << shift;
        Self { scaled, shift, reciprocal: (u128::MAX / scaled as u128 - (1 << 64)) as u64 }
    }

    /// `number` divided by this one, rounded once, to the nearest, and to even where two are as near.
    #[inline(always)]
    fn quotient(&self, number: u64) -> f64 {
        let zeros = number.leading_zeros();
        // The upper half is below the scaled divisor, so that the quotient fits into 64 bits; it has 62 at least.
        let high = (number << zeros) >> 1;
        let low = (number << zeros) << 63;
        // Division by a reciprocal (Möller and Granlund 2011, algorithm 4).
        let estimate = u128::from(self.reciprocal) * u128::from(high)
            + ((u128::from(high) << 64) | u128::from(low));
        // The number was multiplied by 2^(zeros + 63), the divisor by 2^shift.
        let exponent = i64::from(self.shift) - i64::from(zeros) - 63;
        // The quotient is up to three more. All are rounded alike, unless a number halfway between two doubles lies among
        // them, of which the last eight bits are zeros.
        let about = (estimate >> 64) as u64;
        if (1..=252).contains(&(about & 255)) {
            return about as f64 * power_of_two(exponent);
        }
        let mut quotient = ((estimate >> 64) as u64).wrapping_add(1);
        let mut rest = low.wrapping_sub(quotient.wrapping_mul(self.scaled));
        if rest > estimate as u64 {
            quotient = quotient.wrapping_sub(1);
            rest = rest.wrapping_add(self.scaled);
        }
        if rest >= self.scaled {
            quotient = quotient.wrapping_add(1);
            rest -= self.scaled;
        }
        // Its last bit lies below what is rounded: where something remains, it is no tie.
        let sticky = quotient | u64::from(rest != 0);
        sticky as f64 * power_of_two(exponent)
    }
}

/// 2^`exponent`, of a normal number.
fn power_of_two(exponent: i64) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::leading;

    fn check(text: &str) {
        let expected: f64 = text.parse().unwrap();
        if let Some((value, length)) = leading(text.as_bytes()) {
            assert_eq!((value.to_bits(), length), (expected.to_bits(), text.len()), "{text}");
        }
    }

    /// A sequence of numbers that look random (Marsaglia 2003).
    fn noise() -> impl FnMut() -> u64 {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        }
    }

    #[test]
    fn numbers_that_are_printed_are_read() {
        let mut next = noise();
        for _ in 0..200_000 {
            let unit = (next() >> 11) as f64 / (1_u64 << 53) as f64;
            let text = unit.to_string();
            check(&text);
            // What is not read here is read by the slower way: seldom.
            if unit > 1e-3 {
                assert!(leading(text.as_bytes()).is_some(), "{text}");
            }
            check(&(unit * 1e6).to_string());
            check(&(unit as f32).to_string());
        }
    }

    #[test]
    fn any_digits_are_rounded_as_the_standard_library_does() {
        let mut next = noise();
        for _ in 0..200_000 {
            let mantissa = next() >> (next() % 64);
            let digits = mantissa.to_string();
            let point = next() as usize % (digits.len() + 1);
            let whole = if point == 0 { "0" } else { &digits[..point] };
            check(format!("{whole}.{}", &digits[point..]).trim_end_matches('.'));
            check(&format!("0.{}{digits}", "0".repeat(next() as usize % 4)));
            check(&digits);
        }
    }

    /// Halfway between two doubles, and next to it.
    #[test]
    fn ties_are_rounded_to_even() {
        for (whole, half) in [(1_u64 << 53, "5"), ((1 << 53) + 2, "5"), ((1 << 53) - 1, "5")] {
            for end in ["", "0", "1"] {
                check(&format!("{whole}.{half}{end}"));
            }
        }
        for odd in [(1_u64 << 53) + 1, (1 << 53) + 3, (1 << 54) + 2, (1 << 63) + 1024, u64::MAX] {
            check(&odd.to_string());
            check(&format!("{odd}.0"));
            check(&format!("0.{odd}"));
        }
        check("9007199254740993.000");
        check("0.5000000000000000001");
        check("0.000000000000000000");
    }

    /// Quotients close to the middle between two doubles, where few digits decide.
    #[test]
    fn near_ties_are_rounded_as_the_standard_library_does() {
        let mut next = noise();
        for _ in 0..100_000 {
            let below = (next() >> 11) as f64 / (1_u64 << 53) as f64;
            let middle = (below + below.next_up()) / 2.0;
            for near in [below, middle] {
                // With all its digits, and with as many as are read.
                let exact = format!("{near:.60}");
                for digits in [17, 18, 19, 20, 21] {
                    check(&exact[..digits]);
                }
            }
        }
    }

    #[test]
    fn the_number_ends_where_its_digits_end() {
        assert_eq!(leading(b"0.25,1"), Some((0.25, 4)));
        assert_eq!(leading(b"12345678.5\n"), Some((12_345_678.5, 10)));
        assert_eq!(leading(b"3"), Some((3.0, 1)));
        for other in ["", ".5", "5.", "-1", "nan", "inf", "x", "12345678901234567890"] {
            assert_eq!(leading(other.as_bytes()), None, "{other}");
        }
        // An exponent is not read: the caller sees that a letter follows.
        assert_eq!(leading(b"1.5e3"), Some((1.5, 3)));
    }
}
