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
    pub(crate) fn from_csv(csv: &str) -> Result<Vec<Self>, usize> {
        let mut lines = csv.lines();
        let has_confidence = match lines.next() {
            Some(HEADER) => true,
            Some(EARLY_HEADER) => false,
            _ => return Err(1),
        };
        lines
            .enumerate()
            .map(|(index, line)| {
                Self::from_line(line, has_confidence)
                    .filter(|prediction| prediction.index == index)
                    // The header is line 1.
                    .ok_or(index + 2)
            })
            .collect()
    }

    fn from_line(line: &str, has_confidence: bool) -> Option<Self> {
        let mut cells = line.split(',');
        let prediction = Self {
            index: cells.next()?.parse().ok()?,
            label: cells.next()?.parse().ok()?,
            predicted: cells.next()?.parse().ok()?,
            probability: cells.next()?.parse().ok()?,
            confidence: match has_confidence.then(|| cells.next()) {
                None | Some(Some("")) => None,
                Some(cell) => Some(cell?.parse().ok()?),
            },
        };
        cells.next().is_none().then_some(prediction)
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
        assert_eq!(Prediction::from_csv(&csv).unwrap(), predictions);
        assert_eq!(Prediction::from_csv(&Prediction::to_csv(&[])).unwrap(), []);
    }

    #[test]
    fn early_files_have_no_confidence() {
        let csv = format!("{EARLY_HEADER}\n0,1,0,0.25\n1,1,0,0.25\n");
        let predictions = [prediction(0, None), prediction(1, None)];
        assert_eq!(Prediction::from_csv(&csv).unwrap(), predictions);
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
            assert_eq!(Prediction::from_csv(&csv).unwrap_err(), line, "{csv}");
        }
    }
}
