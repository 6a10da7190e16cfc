//! From text to tokens.

use crate::Error;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{DecoderWrapper, NormalizerWrapper, PostProcessorWrapper};
use tokenizers::{Model as _, PreTokenizerWrapper, TokenizerImpl};

/// What a token is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tokenizer {
    /// A byte: a vocabulary of 256.
    #[default]
    Bytes,
    /// A sequence of bytes that is frequent in the training split (byte-pair encoding; Sennrich et al. 2016).
    Bpe,
}

/// Entries of a byte-pair vocabulary where nothing else is said.
const VOCABULARY: usize = 1024;

/// Bytes: the least entries of a vocabulary.
const BYTES: usize = 256;

/// Most entries of a vocabulary.
const LARGEST: usize = 1 << 17;

type BytePairs = TokenizerImpl<
    BPE,
    NormalizerWrapper,
    PreTokenizerWrapper,
    PostProcessorWrapper,
    DecoderWrapper,
>;

/// Turns texts into tokens.
pub(super) enum Encoder {
    Bytes,
    Bpe {
        tokenizer: Box<BytePairs>,
        /// Bytes of each token.
        lengths: Vec<u32>,
    },
}

/// Refuses a vocabulary that `tokenizer` cannot have.
pub(super) fn check(tokenizer: Tokenizer, vocabulary: Option<usize>) -> Result<(), Error> {
    let wrong = match (tokenizer, vocabulary) {
        (Tokenizer::Bytes, Some(_)) => "is for `tokenizer = \"bpe\"`: bytes have 256 entries",
        (Tokenizer::Bpe, Some(entries)) if !(BYTES + 1..=LARGEST).contains(&entries) => {
            "must be from 257 to 131072"
        }
        _ => return Ok(()),
    };
    Err(Error::spec("vocabulary", wrong))
}

impl Encoder {
    /// The encoder of `tokenizer`, where it learns from the text `train`.
    pub(super) fn new(
        tokenizer: Tokenizer,
        vocabulary: Option<usize>,
        train: &str,
    ) -> Result<Self, Error> {
        match tokenizer {
            Tokenizer::Bytes => Ok(Self::Bytes),
            Tokenizer::Bpe => Self::byte_pairs(vocabulary.unwrap_or(VOCABULARY), train)
                .map_err(|error| Error::Tokenizer(error.to_string())),
        }
    }

    fn byte_pairs(vocabulary: usize, train: &str) -> tokenizers::Result<Self> {
        let level = ByteLevel::new(false, true, true);
        let alphabet: HashSet<char> = ByteLevel::alphabet().into_iter().collect();
        let mut trainer: BpeTrainer = BpeTrainer::builder()
            .vocab_size(vocabulary)
            .min_frequency(2)
            .show_progress(false)
            .initial_alphabet(alphabet.into_iter().collect())
            .build();
        let mut tokenizer: BytePairs = TokenizerImpl::new(BPE::default());
        tokenizer.with_pre_tokenizer(Some(PreTokenizerWrapper::ByteLevel(level)));
        tokenizer.train(&mut trainer, train.split_inclusive('\n').map(str::to_owned))?;
        let mut lengths = vec![0; tokenizer.get_model().get_vocab_size()];
        let vocabulary: BTreeMap<String, u32> =
            tokenizer.get_model().get_vocab().into_iter().collect();
        for (token, id) in vocabulary {
            // Each byte is one character of the byte-level alphabet.
            if let Some(length) = lengths.get_mut(id as usize) {
                *length = u32::try_from(token.chars().count()).unwrap_or(u32::MAX);
            }
        }
        Ok(Self::Bpe { tokenizer: Box::new(tokenizer), lengths })
    }

    /// Entries of the vocabulary.
    pub(super) fn entries(&self) -> usize {
        match self {
            Self::Bytes => BYTES,
            Self::Bpe { lengths, .. } => lengths.len(),
        }
    }

    /// Bytes of text that `token` stands for.
    pub(super) fn bytes(&self, token: u32) -> u32 {
        match self {
            Self::Bytes => 1,
            Self::Bpe { lengths, .. } => lengths.get(token as usize).copied().unwrap_or(0),
        }
    }

    /// The tokens of `text`.
    pub(super) fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        let Self::Bpe { tokenizer, .. } = self else {
            return Ok(text.bytes().map(u32::from).collect());
        };
        let mut tokens = Vec::new();
        for line in text.split_inclusive('\n') {
            let encoding = tokenizer.encode_fast(line, false);
            let encoding = encoding.map_err(|error| Error::Tokenizer(error.to_string()))?;
            tokens.extend_from_slice(encoding.get_ids());
        }
        Ok(tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "In the beginning was the Word,\nand the Word was with God,\nand the Word was God.\n";

    #[test]
    fn byte_pairs_stand_for_all_bytes_and_are_learned_alike_each_time() {
        let new = || Encoder::new(Tokenizer::Bpe, Some(280), &TEXT.repeat(3)).unwrap();
        let encoder = new();
        assert_eq!(encoder.entries(), 280);
        for text in [TEXT, "Ünlearned 😀\n"] {
            let tokens = encoder.encode(text).unwrap();
            let bytes: u32 = tokens.iter().map(|token| encoder.bytes(*token)).sum();
            assert_eq!(bytes as usize, text.len());
            assert_eq!(new().encode(text).unwrap(), tokens);
        }
        assert!(encoder.encode(TEXT).unwrap().len() < TEXT.len() * 3 / 4);
        let bytes = Encoder::new(Tokenizer::Bytes, None, "").unwrap();
        assert_eq!(bytes.encode("ü").unwrap(), [0xc3, 0xbc]);
    }
}
