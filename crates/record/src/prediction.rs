use serde::{Deserialize, Serialize};

/// What a run said about one test example: a line of `predictions.csv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Position of the example in the test split, from 0.
    pub index: usize,
    /// True class, from 0.
    pub label: usize,
    /// Class with the largest logit, from 0.
    pub predicted: usize,
    /// Probability (softmax) given to the true class.
    pub probability: f64,
    /// Probability (softmax) given to the predicted class. Early files do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
}

/// Header of `predictions.csv`.
const HEADER: &str = "index,label,predicted,probability,confidence";

/// Header of early files, which lack the last column.
const EARLY_HEADER: &str = "index,label,predicted,probability";

impl Prediction {
    /// `predictions.csv` with these predictions, a line each. A missing confidence is an empty cell.
    pub(crate) fn to_csv(predictions: &[Self]) -> String {
        let mut csv = String::from(HEADER);
        csv.push('\n');
        for Self { index, label, predicted, probability, confidence } in predictions {
            let confidence =
                confidence.map(|confidence| confidence.to_string()).unwrap_or_default();
            csv.push_str(&format!("{index},{label},{predicted},{probability},{confidence}\n"));
        }
        csv
    }

    /// The predictions in the content of a `predictions.csv`, of this or the early form.
    ///
    /// # Errors
    /// The number of the first line that makes no sense, from 1: where a cell is missing, is no number, or is too
    /// many, or where an index is not one more than that of the line before.
    pub(crate) fn from_csv(csv: &[u8]) -> Result<Vec<Self>, usize> {
        let (header, mut rest) = split_line(csv);
        let has_confidence = match header {
            header if header == HEADER.as_bytes() => true,
            header if header == EARLY_HEADER.as_bytes() => false,
            _ => return Err(1),
        };
        // A report of thousands of runs reads millions of lines: each is gone over once.
        let mut predictions = Vec::with_capacity(rest.len() / SHORT_LINE);
        while !rest.is_empty() {
            let (line, after) = split_line(rest);
            let index = predictions.len();
            let prediction = Self::from_line(line, has_confidence);
            // The header is line 1.
            let prediction = prediction.filter(|one| one.index == index).ok_or(index + 2)?;
            predictions.push(prediction);
            rest = after;
        }
        Ok(predictions)
    }

    fn from_line(line: &[u8], has_confidence: bool) -> Option<Self> {
        let mut cells = Cells(Some(line));
        let prediction = Self {
            index: cells.whole()?,
            label: cells.whole()?,
            predicted: cells.whole()?,
            probability: cells.number()?,
            confidence: match has_confidence {
                false => None,
                true if cells.0 == Some(b"") => cells.next().and(None),
                true => Some(cells.number()?),
            },
        };
        cells.0.is_none().then_some(prediction)
    }
}

/// Bytes of a line that is shorter than most.
const SHORT_LINE: usize = 24;

/// The first line of `text` without its end, and what follows it.
fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    let (line, rest) = match text.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, &[][..]),
    };
    (line.strip_suffix(b"\r").unwrap_or(line), rest)
}

/// Cells of a line that are not yet read; nothing after the last one.
struct Cells<'a>(Option<&'a [u8]>);

impl<'a> Cells<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        let line = self.0?;
        let end = line.iter().position(|byte| *byte == b',');
        self.0 = end.map(|end| &line[end + 1..]);
        Some(end.map_or(line, |end| &line[..end]))
    }

    /// A whole number.
    fn whole(&mut self) -> Option<usize> {
        let cell = self.next()?;
        if cell.is_empty() {
            return None;
        }
        cell.iter().try_fold(0_usize, |number, byte| {
            let digit = byte.is_ascii_digit().then(|| usize::from(byte - b'0'))?;
            number.checked_mul(10)?.checked_add(digit)
        })
    }

    fn number(&mut self) -> Option<f64> {
        std::str::from_utf8(self.next()?).ok()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prediction(index: usize, confidence: Option<f64>) -> Prediction {
        Prediction { index, label: 1, predicted: 0, probability: 0.25, confidence }
    }

    #[test]
    fn what_is_written_is_read() {
        let predictions = [prediction(0, Some(0.75)), prediction(1, None)];
        let csv = Prediction::to_csv(&predictions);
        assert_eq!(csv, format!("{HEADER}\n0,1,0,0.25,0.75\n1,1,0,0.25,\n"));
        assert_eq!(Prediction::from_csv(csv.as_bytes()).unwrap(), predictions);
        assert_eq!(Prediction::from_csv(Prediction::to_csv(&[]).as_bytes()).unwrap(), []);
    }

    #[test]
    fn early_files_have_no_confidence() {
        let csv = format!("{EARLY_HEADER}\n0,1,0,0.25\n1,1,0,0.25\n");
        let predictions = [prediction(0, None), prediction(1, None)];
        assert_eq!(Prediction::from_csv(csv.as_bytes()).unwrap(), predictions);
    }

    #[test]
    fn the_first_wrong_line_is_told() {
        for (line, csv) in [
            (1, String::new()),
            (1, "index,label\n".to_owned()),
            (2, format!("{HEADER}\n1,1,0,0.25,0.75\n")),
            (2, format!("{HEADER}\n18446744073709551615,0,0,0.5,0.5\n")),
            (2, format!("{HEADER}\n18446744073709551616,0,0,0.5,0.5\n")),
            (2, format!("{HEADER}\n-1,0,0,0.5,0.5\n")),
            (3, format!("{EARLY_HEADER}\n0,0,0,0.5\n18446744073709551615,0,0,0.5\n")),
            (3, format!("{HEADER}\n0,0,0,0.5,0.5\n0,0,0,0.5,0.5\n")),
            (3, format!("{HEADER}\n0,0,0,0.5,0.5\n1,0,0,0.5\n")),
            (3, format!("{HEADER}\n0,0,0,0.5,0.5\n1,0,0,0.5,0.5,\n")),
            (3, format!("{HEADER}\n0,0,0,0.5,0.5\n1,0,0,half,0.5\n")),
            (3, format!("{HEADER}\n0,0,0,0.5,0.5\n1,0\n")),
            (3, format!("{HEADER}\n0,0,0,0.5,0.5\n\n2,0,0,0.5,0.5\n")),
        ] {
            assert_eq!(Prediction::from_csv(csv.as_bytes()).unwrap_err(), line, "{csv}");
        }
    }
}
