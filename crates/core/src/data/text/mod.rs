//! Long texts for language models, in bytes or in tokens that are learned from the training split.

mod king_james;
mod plain;
mod tokens;

pub use king_james::KingJamesBible;
pub use plain::PlainText;
pub use tokens::Tokenizer;

use super::files::{hex, sha256};
use super::{Dataset, Inputs, Part, Text};
use crate::Error;
use sha2::{Digest, Sha256};
use tokens::Encoder;

/// Tokens of a piece where the model does not say how many it takes.
const LENGTH: usize = 128;

/// The text of each split.
struct Splits {
    train: String,
    validation: String,
    test: String,
}

impl Splits {
    /// SHA-256 over the splits.
    fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        for text in [&self.train, &self.validation, &self.test] {
            hash.update(sha256(text.as_bytes()));
        }
        hex(&hash.finalize())
    }

    /// The data set of these texts, in tokens of `tokenizer`, cut into pieces of `max_tokens`.
    fn dataset(
        &self,
        name: &str,
        (tokenizer, vocabulary): (Tokenizer, Option<usize>),
        max_tokens: Option<usize>,
    ) -> Result<Dataset, Error> {
        let encoder = Encoder::new(tokenizer, vocabulary, &self.train)?;
        let length = max_tokens.unwrap_or(LENGTH).max(1);
        let part = |text: &str| Ok::<_, Error>(pieces(&encoder.encode(text)?, length, &encoder));
        Ok(Dataset {
            name: name.to_owned(),
            classes: Vec::new(),
            train: part(&self.train)?,
            validation: part(&self.validation)?,
            test: part(&self.test)?,
            sha256: self.sha256(),
            differences: Vec::new(),
        })
    }
}

/// `tokens` cut into pieces of `length` that are predicted, each with the token before it: so every token but the
/// first is predicted once.
fn pieces(tokens: &[u32], length: usize, encoder: &Encoder) -> Part {
    let (mut pieces, mut bytes) = (Vec::new(), Vec::new());
    let mut begin = 0;
    while begin + 1 < tokens.len() {
        let end = (begin + length + 1).min(tokens.len());
        let piece = &tokens[begin..end];
        bytes.push(piece[1..].iter().map(|token| encoder.bytes(*token)).sum());
        pieces.push(piece.to_vec());
        begin += length;
    }
    let text = Text { vocabulary: encoder.entries(), tokens: pieces, bytes, mask: None };
    Part { inputs: Inputs::Text(text), labels: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_but_the_first_is_predicted_once() {
        let encoder = Encoder::new(Tokenizer::Bytes, None, "").unwrap();
        let tokens = encoder.encode("abcdefgh").unwrap();
        let part = pieces(&tokens, 3, &encoder);
        let Inputs::Text(text) = &part.inputs else { panic!() };
        assert_eq!(text.tokens, [&tokens[0..4], &tokens[3..7], &tokens[6..8]]);
        assert_eq!(text.bytes, [3, 3, 1]);
        // A rest of one token has nothing to predict.
        assert_eq!(pieces(&tokens[..7], 3, &encoder).len(), 2);
        assert_eq!(pieces(&tokens[..1], 3, &encoder).len(), 0);
    }
}
