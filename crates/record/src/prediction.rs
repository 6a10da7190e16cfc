use crate::decimal;
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
        let (header, rest) = split_line(csv);
        let has_confidence = match header {
            header if header == HEADER.as_bytes() => true,
            header if header == EARLY_HEADER.as_bytes() => false,
            _ => return Err(1),
        };
        // A report of thousands of runs reads millions of lines: each is gone over once.
        let mut predictions = Vec::with_capacity(rest.len() / SHORT_LINE);
        let mut cells = Cells(rest);
        while !cells.0.is_empty() {
            let index = predictions.len();
            let prediction = Self::from_line(&mut cells, has_confidence);
            // The header is line 1.
            let prediction = prediction.filter(|one| one.index == index).ok_or(index + 2)?;
            predictions.push(prediction);
        }
        Ok(predictions)
    }

    fn from_line(cells: &mut Cells<'_>, has_confidence: bool) -> Option<Self> {
        let index = cells.whole()?;
        cells.comma()?;
        let label = cells.whole()?;
        cells.comma()?;
        let predicted = cells.whole()?;
        cells.comma()?;
        let probability = cells.number()?;
        let confidence = if has_confidence {
            cells.comma()?;
            cells.optional_number()?
        } else {
            None
        };
        cells.line_end()?;
        Some(Self { index, label, predicted, probability, confidence })
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

/// What is not yet read of a table.
struct Cells<'a>(&'a [u8]);

impl Cells<'_> {
    fn comma(&mut self) -> Option<()> {
        self.0 = self.0.strip_prefix(b",")?;
        Some(())
    }

    /// The end of a line; the last line needs none.
    fn line_end(&mut self) -> Option<()> {
        let rest = self.0.strip_prefix(b"\r").unwrap_or(self.0);
        self.0 = if rest.is_empty() { rest } else { rest.strip_prefix(b"\n")? };
        Some(())
    }

    /// A whole number.
    fn whole(&mut self) -> Option<usize> {
        let (mut number, mut digits) = (0_usize, 0);
        while let Some(byte) = self.0.get(digits).filter(|byte| byte.is_ascii_digit()) {
            number = number.checked_mul(10)?.checked_add(usize::from(byte - b'0'))?;
            digits += 1;
        }
        self.0 = &self.0[digits..];
        (digits > 0).then_some(number)
    }

    /// A number of any form.
    fn number(&mut self) -> Option<f64> {
        let (number, length) = match decimal::leading(self.0) {
            Some((number, length)) if ends_cell(self.0.get(length)) => (number, length),
            _ => {
                let cell = self.cell();
                (std::str::from_utf8(cell).ok()?.parse().ok()?, cell.len())
            }
        };
        self.0 = &self.0[length..];
        Some(number)
    }

    /// A number, or an empty cell.
    fn optional_number(&mut self) -> Option<Option<f64>> {
        if ends_cell(self.0.first()) { Some(None) } else { self.number().map(Some) }
    }

    /// The bytes up to the end of the cell.
    fn cell(&self) -> &[u8] {
        let end = self.0.iter().position(|byte| ends_cell(Some(byte)));
        &self.0[..end.unwrap_or(self.0.len())]
    }
}

/// Whether a cell ends before this byte, or where there is none.
fn ends_cell(byte: Option<&u8>) -> bool {
    matches!(byte, None | Some(b',' | b'\n' | b'\r'))
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
    fn numbers_and_ends_of_lines_have_every_form() {
        let csv = format!(
            "{HEADER}\r\n0,1,0,1e-7,nan\r\n1,1,0,0.12345678901234567890123,+.5\n2,1,0,1,\r\n3,1,0,inf,5."
        );
        let read = Prediction::from_csv(csv.as_bytes()).unwrap();
        let probabilities: Vec<f64> = read.iter().map(|one| one.probability).collect();
        assert_eq!(probabilities, [1e-7, 0.123_456_789_012_345_68, 1.0, f64::INFINITY]);
        assert!(read[0].confidence.unwrap().is_nan());
        assert_eq!((read[1].confidence, read[2].confidence), (Some(0.5), None));
        assert_eq!(read[3].confidence, Some(5.0));
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
            (3, format!("{HEADER}\n0,0,0,0.5,0.5\n1,0,0,,0.5\n")),
            (3, format!("{HEADER}\n0,0,0,0.5,0.5\n1,,0,0.5,0.5\n")),
            (3, format!("{HEADER}\n0,0,0,0.5,0.5\n1,0,0,0.5,0.5 \n")),
            (3, format!("{HEADER}\n0,0,0,0.5,0.5\n1,0,0,0.5,0.5\r\r\n")),
            (3, format!("{HEADER}\n0,0,0,0.5,0.5\n1,0,0,0.5\r,0.5\n")),
            (3, format!("{EARLY_HEADER}\n0,0,0,0.5\n1,0,0,0.5,0.5\n")),
            (3, format!("{HEADER}\n0,0,0,0.5,0.5\n\n2,0,0,0.5,0.5\n")),
        ] {
            assert_eq!(Prediction::from_csv(csv.as_bytes()).unwrap_err(), line, "{csv}");
        }
    }
}
