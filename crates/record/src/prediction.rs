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

/// How well a run predicted one test example that has no class, as a piece of text: a line of `predictions.csv`.
#[derive(Debug, Clone, PartialEq)]
pub struct ExampleLoss {
    /// Position of the example in the test split, from 0.
    pub index: usize,
    /// Loss, summed over what was predicted; divided by `units` it is in the unit of the primary metric.
    pub loss: f64,
    /// What the loss is divided by: bytes of the text, or tokens that were predicted.
    pub units: f64,
}

/// What a run said of its test examples: the content of `predictions.csv`.
#[derive(Debug, Clone, PartialEq)]
pub enum Predictions {
    /// Classes.
    Classes(Vec<Prediction>),
    /// Losses.
    Losses(Vec<ExampleLoss>),
}

/// What a run said of one test example.
#[derive(Debug, Clone, PartialEq)]
pub enum PredictionLine {
    /// A class.
    Class(Prediction),
    /// A loss.
    Loss(ExampleLoss),
}

impl Default for Predictions {
    fn default() -> Self {
        Self::Classes(Vec::new())
    }
}

impl Predictions {
    /// Test examples.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Classes(all) => all.len(),
            Self::Losses(all) => all.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The score of each example; their mean is proportional to the run's. For classes 1 where the right one was
    /// predicted, otherwise 0; for losses the loss a unit, weighted by the example's part of all units.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn scores(&self) -> Vec<f64> {
        match self {
            Self::Classes(all) => {
                all.iter().map(|one| f64::from(u8::from(one.label == one.predicted))).collect()
            }
            Self::Losses(all) => {
                let mean = all.iter().map(|one| one.units).sum::<f64>() / all.len().max(1) as f64;
                all.iter().map(|one| one.loss / mean).collect()
            }
        }
    }

    /// The content of `predictions.csv`.
    #[must_use]
    pub(crate) fn to_csv(&self) -> String {
        match self {
            Self::Classes(all) => Prediction::to_csv(all),
            Self::Losses(all) => ExampleLoss::to_csv(all),
        }
    }

    /// Hands `take` each line of a `predictions.csv` of any form, in their order.
    ///
    /// # Errors
    /// Those of [`Predictions::from_csv`]; the lines before that one have been handed over.
    pub(crate) fn each_in_csv(
        csv: &[u8],
        mut take: impl FnMut(PredictionLine),
    ) -> Result<(), usize> {
        if split_line(csv).0 == LOSS_HEADER.as_bytes() {
            return ExampleLoss::each_in_csv(csv, |one| take(PredictionLine::Loss(one)));
        }
        Prediction::each_in_csv(csv, |one| take(PredictionLine::Class(one)))
    }

    /// Reads the content of a `predictions.csv` of any form.
    ///
    /// # Errors
    /// The number of the first line that makes no sense, from 1.
    pub(crate) fn from_csv(csv: &[u8]) -> Result<Self, usize> {
        if split_line(csv).0 == LOSS_HEADER.as_bytes() {
            return ExampleLoss::from_csv(csv).map(Self::Losses);
        }
        Prediction::from_csv(csv).map(Self::Classes)
    }
}

/// Header of a `predictions.csv` of losses.
const LOSS_HEADER: &str = "index,loss,units";

impl ExampleLoss {
    fn to_csv(losses: &[Self]) -> String {
        let mut csv = String::from(LOSS_HEADER);
        csv.push('\n');
        for Self { index, loss, units } in losses {
            csv.push_str(&format!("{index},{loss},{units}\n"));
        }
        csv
    }

    fn from_csv(csv: &[u8]) -> Result<Vec<Self>, usize> {
        let mut losses = Vec::new();
        Self::each_in_csv(csv, |one| losses.push(one))?;
        Ok(losses)
    }

    fn each_in_csv(csv: &[u8], mut take: impl FnMut(Self)) -> Result<(), usize> {
        let mut cells = Cells(split_line(csv).1);
        let mut index = 0;
        while !cells.0.is_empty() {
            let one = Self::from_line(&mut cells).filter(|one| one.index == index);
            // The header is line 1.
            take(one.ok_or(index + 2)?);
            index += 1;
        }
        Ok(())
    }

    fn from_line(cells: &mut Cells<'_>) -> Option<Self> {
        let index = cells.whole()?;
        cells.comma()?;
        let loss = cells.number()?;
        cells.comma()?;
        let units = cells.number()?;
        cells.line_end()?;
        Some(Self { index, loss, units })
    }
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
        let mut predictions = Vec::with_capacity(csv.len() / SHORT_LINE);
        Self::each_in_csv(csv, |prediction| predictions.push(prediction))?;
        Ok(predictions)
    }

    /// Hands `take` each prediction in the content of a `predictions.csv`, in their order. A report of thousands of runs
    /// reads millions of lines: each is gone over once.
    ///
    /// # Errors
    /// Those of [`Prediction::from_csv`]; the predictions before that line have been handed over.
    pub(crate) fn each_in_csv(csv: &[u8], mut take: impl FnMut(Self)) -> Result<(), usize> {
        let (header, rest) = split_line(csv);
        let has_confidence = match header {
            header if header == HEADER.as_bytes() => true,
            header if header == EARLY_HEADER.as_bytes() => false,
            _ => return Err(1),
        };
        let mut index = 0;
        let mut cells = Cells(rest);
        while !cells.0.is_empty() {
            let prediction = Self::from_line(&mut cells, has_confidence);
            // The header is line 1.
            take(prediction.filter(|one| one.index == index).ok_or(index + 2)?);
            index += 1;
        }
        Ok(())
    }

    #[inline(always)]
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
    #[inline(always)]
    fn comma(&mut self) -> Option<()> {
        self.0 = self.0.strip_prefix(b",")?;
        Some(())
    }

    /// The end of a line; the last line needs none.
    #[inline(always)]
    fn line_end(&mut self) -> Option<()> {
        let rest = self.0.strip_prefix(b"\r").unwrap_or(self.0);
        self.0 = if rest.is_empty() { rest } else { rest.strip_prefix(b"\n")? };
        Some(())
    }

    /// A whole number.
    #[inline(always)]
    fn whole(&mut self) -> Option<usize> {
        // Most tasks have ten classes at most.
        if let [digit @ b'0'..=b'9', b',', ..] = self.0 {
            let number = usize::from(digit - b'0');
            self.0 = &self.0[1..];
            return Some(number);
        }
        let (mut number, mut digits) = (0_usize, 0);
        while let Some(byte) = self.0.get(digits).filter(|byte| byte.is_ascii_digit()) {
            number = number.checked_mul(10)?.checked_add(usize::from(byte - b'0'))?;
            digits += 1;
        }
        self.0 = &self.0[digits..];
        (digits > 0).then_some(number)
    }

    /// A number of any form.
    #[inline(always)]
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
    #[inline(always)]
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
#[inline(always)]
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
    fn losses_are_written_and_read_and_their_mean_is_the_loss_a_unit() {
        let losses = vec![
            ExampleLoss { index: 0, loss: 3.0, units: 2.0 },
            ExampleLoss { index: 1, loss: 1.5, units: 1.0 },
        ];
        let all = Predictions::Losses(losses);
        let csv = all.to_csv();
        assert_eq!(csv, "index,loss,units\n0,3,2\n1,1.5,1\n");
        assert_eq!(Predictions::from_csv(csv.as_bytes()).unwrap(), all);
        assert_eq!(all.scores(), [2.0, 1.0]);
        assert_eq!(Predictions::from_csv(b"index,loss,units\n0,3,2\n1,1.5\n"), Err(3));
        assert_eq!(Predictions::from_csv(b"index,loss,units\n1,3,2\n"), Err(2));
        let classes = Predictions::Classes(vec![prediction(0, None)]);
        assert_eq!((classes.scores(), classes.len()), (vec![0.0], 1));
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
