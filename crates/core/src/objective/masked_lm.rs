use super::score::{Score, accuracy};
use super::{Objective, Prepared};
use crate::Error;
use crate::component::{Definition, check_all};
use crate::data::{Answers, Dataset, Inputs, Part, Text};
use crate::model::{Head, InputShape, Interface};
use crate::stream::Stream;
use record::{Direction, ExampleLoss, Metric, Metrics, Predictions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Tokens that are hidden in a text, judged by their loss (Devlin et al. 2019, section 3.1). Which ones are hidden is
/// drawn anew whenever a text is seen (Liu et al. 2019); in evaluations they are always the same.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaskedLm {
    /// Part of the tokens that is predicted: of these, 80 % become `[MASK]`, 10 % another token, and 10 % stay.
    #[serde(default = "masked")]
    pub masked: f64,
}

fn masked() -> f64 {
    0.15
}

/// Names of the metrics.
const LOSS: &str = "loss";
const PERPLEXITY: &str = "perplexity";
const ACCURACY: &str = "masked_accuracy";

/// Texts of a batch in evaluations, whose logits are many.
const EVALUATION_BATCH: usize = 32;

/// Of ten tokens that are predicted, so many become `[MASK]`, and so many another one.
const BECOME_MASK: usize = 8;
const BECOME_OTHER: usize = 1;

impl Definition for MaskedLm {
    const NAME: &'static str = "masked_lm";
    const ABOUT: &'static str = "hidden tokens of a text, judged by their loss";
    const CITATION: &'static str =
        "Devlin et al. 2019, arXiv:1810.04805, section 3.1; Liu et al. 2019, arXiv:1907.11692";

    fn check(&self) -> Result<(), Error> {
        let fits = self.masked > 0.0 && self.masked < 1.0;
        check_all([("masked", fits, "must be above 0 and below 1: a part of all tokens")])
    }

    fn words(&self) -> String {
        format!("masked language model, {} % of the tokens", 100.0 * self.masked)
    }
}

impl Objective for MaskedLm {
    fn interface(&self, data: &Dataset) -> Result<Interface, Error> {
        match &data.train.inputs {
            Inputs::Text(Text { vocabulary, mask: Some(mask), .. }) => {
                if mask.ordinary(*vocabulary) == 0 {
                    let reason =
                        format!("the vocabulary of `{}` has special tokens alone", data.name);
                    return Err(Error::spec("objective", reason));
                }
                Ok(Interface { inputs: InputShape::of(&data.train.inputs), head: Head::Tokens })
            }
            Inputs::Text(_) => {
                let reason = format!("the vocabulary of `{}` has no [MASK]", data.name);
                Err(Error::spec("objective", reason))
            }
            other => {
                let holds = InputShape::of(other).holds();
                let reason = format!("masked_lm needs text, but `{}` holds {holds}", data.name);
                Err(Error::spec("objective", reason))
            }
        }
    }

    fn primary(&self) -> Metric {
        Metric {
            name: LOSS.to_owned(),
            label: "loss".to_owned(),
            unit: "nats".to_owned(),
            scale: 1.0,
            digits: 4,
            direction: Direction::Lower,
            guessing: f64::NAN,
        }
    }

    fn guessing(&self, data: &Dataset) -> f64 {
        self.guessing_loss(data)
    }

    fn guessing_loss(&self, data: &Dataset) -> f64 {
        let Inputs::Text(text) = &data.train.inputs else { return f64::NAN };
        #[expect(clippy::cast_precision_loss, reason = "vocabularies are small")]
        let vocabulary = text.vocabulary as f64;
        libm::log(vocabulary)
    }

    fn evaluation_batch(&self) -> usize {
        EVALUATION_BATCH
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "texts are short, vocabularies small"
    )]
    fn prepare(&self, part: &Part, index: usize, stream: &mut Stream) -> Prepared {
        let Inputs::Text(text) = &part.inputs else {
            unreachable!("MaskedLm::interface refuses other inputs")
        };
        let mut tokens = text.tokens[index].clone();
        let Some(mask) = &text.mask else {
            unreachable!("MaskedLm::interface refuses texts without a mask")
        };
        let mut places: Vec<usize> =
            (0..tokens.len()).filter(|place| mask.is_ordinary(tokens[*place])).collect();
        // A text of unknown words has no ordinary token: what stands between its ends is hidden.
        if places.is_empty() {
            places = (1..tokens.len().saturating_sub(1)).collect();
        }
        if places.is_empty() {
            places = (0..tokens.len()).collect();
        }
        // One at least, as in the released code.
        let count = ((places.len() as f64 * self.masked).round() as usize).max(1).min(places.len());
        let order = stream.permutation(places.len());
        places = order[..count].iter().map(|i| places[*i]).collect();
        places.sort_unstable();
        let labels = places.iter().map(|place| tokens[*place] as usize).collect();
        let ordinary = mask.ordinary(text.vocabulary);
        for place in &places {
            // Each takes as many numbers, so that a place does not change those behind it.
            let (choice, other) = (stream.below(10), stream.below(ordinary.max(1)) as u32);
            if choice < BECOME_MASK {
                tokens[*place] = mask.token;
            } else if choice < BECOME_MASK + BECOME_OTHER {
                tokens[*place] = mask.nth_ordinary(other);
            }
        }
        let units = places.len() as f64;
        Prepared { tokens: Some(tokens), labels, positions: Some(places), units }
    }

    fn step_metrics(&self, loss: Option<f64>, _: &[usize], _: &Answers) -> Metrics {
        match loss {
            Some(loss) => [(PERPLEXITY, libm::exp(loss))].into(),
            None => Metrics::default(),
        }
    }

    fn metrics(&self, scores: &[Score]) -> Metrics {
        let perplexity = libm::exp(super::mean_loss(scores));
        [(PERPLEXITY, perplexity), (ACCURACY, accuracy(scores))].into()
    }

    fn predictions(&self, scores: &[Score]) -> Predictions {
        let line = |(index, score): (usize, &Score)| ExampleLoss {
            index,
            loss: score.loss,
            units: score.units,
        };
        Predictions::Losses(scores.iter().enumerate().map(line).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Mask;

    /// 1,000 texts of 40 ordinary tokens between two special ones.
    fn part() -> Part {
        let text = |i: u32| (0..42).map(move |j| if j % 41 == 0 { 2 } else { 5 + (i + j) % 95 });
        let text = Text {
            vocabulary: 100,
            tokens: (0..1000).map(|i| text(i).collect()).collect(),
            bytes: Vec::new(),
            mask: Some(Mask { token: 4, special: (0..5).collect() }),
        };
        Part { inputs: Inputs::Text(text), labels: Vec::new() }
    }

    #[test]
    fn of_the_hidden_tokens_eight_in_ten_are_masked_one_is_another_and_one_stays() {
        let (part, mut stream) = (part(), Stream::new(1, "test"));
        let Inputs::Text(text) = &part.inputs else { panic!() };
        let (mut masked, mut other, mut same) = (0, 0, 0);
        for index in 0..1000 {
            let prepared = MaskedLm { masked: 0.15 }.prepare(&part, index, &mut stream);
            let (old, new) = (&text.tokens[index], prepared.tokens.unwrap());
            let places = prepared.positions.unwrap();
            assert_eq!((places.len(), prepared.units), (6, 6.0));
            for place in 0..old.len() {
                let Ok(found) = places.binary_search(&place) else {
                    assert_eq!(old[place], new[place]);
                    continue;
                };
                assert_eq!(prepared.labels[found], old[place] as usize);
                assert!(old[place] >= 5, "special tokens are never hidden");
                match new[place] {
                    4 => masked += 1,
                    token if token == old[place] => same += 1,
                    token => {
                        assert!(token >= 5);
                        other += 1;
                    }
                }
            }
        }
        // Of 6,000: 4,800, 600 · 94/95 and 600 · 96/95, with standard deviations of 31, 23 and 23.
        assert!((4_660..4_940).contains(&masked), "{masked}");
        assert!((490..700).contains(&other) && (500..710).contains(&same), "{other} {same}");
    }

    #[test]
    fn ordinary_tokens_are_those_that_are_not_special_wherever_these_stand() {
        let mask = Mask { token: 9, special: vec![0, 3, 4, 9] };
        let ordinary: Vec<u32> = (0..6).map(|number| mask.nth_ordinary(number)).collect();
        assert_eq!(ordinary, [1, 2, 5, 6, 7, 8]);
        assert_eq!(mask.ordinary(10), 6);
        let text = Text {
            vocabulary: 10,
            tokens: vec![vec![3, 1, 2, 5, 6, 7, 8, 4]],
            bytes: Vec::new(),
            mask: Some(mask.clone()),
        };
        let part = Part { inputs: Inputs::Text(text), labels: Vec::new() };
        let (mut stream, mut hidden) = (Stream::new(1, "test"), [false; 10]);
        for _ in 0..1000 {
            let prepared = MaskedLm { masked: 0.15 }.prepare(&part, 0, &mut stream);
            let (tokens, label) = (prepared.tokens.unwrap(), prepared.labels[0]);
            hidden[label] = true;
            assert!(tokens.iter().all(|token| *token < 10));
            let place = prepared.positions.unwrap()[0];
            assert!(mask.is_ordinary(tokens[place]) || tokens[place] == mask.token);
        }
        assert_eq!(
            hidden,
            [1, 2, 5, 6, 7, 8].iter().fold([false; 10], |mut all, i| {
                all[*i] = true;
                all
            })
        );
    }

    #[test]
    fn each_sight_of_a_text_hides_others_and_the_same_stream_hides_the_same() {
        let part = part();
        let mut stream = Stream::new(1, "test");
        let objective = MaskedLm { masked: 0.15 };
        let first = objective.prepare(&part, 3, &mut stream);
        assert_ne!(objective.prepare(&part, 3, &mut stream), first);
        assert_eq!(objective.prepare(&part, 3, &mut Stream::new(1, "test")), first);
    }
}
