//! BERT's tokenizer over a WordPiece vocabulary (Schuster and Nakajima 2012; Devlin et al. 2019).

use super::Mask;
use crate::Error;
use std::collections::HashMap;
use std::hash::BuildHasher;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{Tokenizer, TruncationParams};

/// Id of `[PAD]`.
pub(super) const PADDING: u32 = 0;

/// `[MASK]`, if the vocabulary has it, and where ordinary tokens begin: behind the special ones, which come first.
fn mask(vocabulary: &HashMap<String, u32, impl BuildHasher>) -> Option<Mask> {
    let special = |id: &str| vocabulary.get(id).copied();
    let last =
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].into_iter().filter_map(special).max()?;
    Some(Mask { token: special("[MASK]")?, first_ordinary: last + 1 })
}

/// Turns sentences into token ids.
pub(super) struct WordPieceTokenizer {
    tokenizer: Tokenizer,
    entries: usize,
    mask: Option<Mask>,
}

impl WordPieceTokenizer {
    /// A tokenizer over `vocabulary`, one token a line with `[PAD]` first, that cuts sequences to
    /// `max_length` tokens, `[CLS]` and `[SEP]` included. Lower-cases and strips accents.
    pub(super) fn new(vocabulary: &[u8], max_length: usize) -> Result<Self, Error> {
        Self::build(vocabulary, max_length).map_err(|error| Error::Tokenizer(error.to_string()))
    }

    fn build(vocabulary: &[u8], max_length: usize) -> tokenizers::Result<Self> {
        let vocabulary = WordPiece::read_bytes(vocabulary)?;
        let entries = vocabulary.len();
        let id = |token: &str| {
            vocabulary.get(token).copied().ok_or_else(|| format!("the vocabulary lacks {token}"))
        };
        if id("[PAD]")? != PADDING {
            return Err("[PAD] must be the first entry of the vocabulary".into());
        }
        id("[UNK]")?;
        let special = vec![("[CLS]", id("[CLS]")?), ("[SEP]", id("[SEP]")?)];
        let mask = mask(&vocabulary);
        let model = WordPiece::builder().vocab(vocabulary).unk_token("[UNK]".into()).build()?;
        let template = TemplateProcessing::builder()
            .try_single("[CLS] $A [SEP]")?
            .special_tokens(special)
            .build()?;
        let truncation = (max_length < usize::MAX)
            .then(|| TruncationParams { max_length: max_length.max(3), ..Default::default() });
        let mut tokenizer = Tokenizer::new(model);
        tokenizer
            .with_normalizer(Some(BertNormalizer::default()))?
            .with_pre_tokenizer(Some(BertPreTokenizer))
            .with_post_processor(Some(template))
            .with_truncation(truncation)?;
        Ok(Self { tokenizer, entries, mask })
    }

    /// Entries of the vocabulary.
    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    /// What hides a token, if the vocabulary has it.
    pub(super) fn mask(&self) -> Option<Mask> {
        self.mask
    }

    /// Token ids of a sentence, from `[CLS]` to `[SEP]`.
    pub(super) fn encode(&self, sentence: &str) -> Result<Vec<u32>, Error> {
        let encoding = self
            .tokenizer
            .encode_fast(sentence, true)
            .map_err(|error| Error::Tokenizer(error.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOCABULARY: &[u8] = include_bytes!("../../data/movie-reviews/vocab.txt");

    #[test]
    fn sentences_become_ids() {
        let tokenizer = WordPieceTokenizer::new(VOCABULARY, 8).unwrap();
        assert_eq!(tokenizer.entries(), 8000);
        let sentence = "A surprisingly clichéd, unwatchable mess of a film.";
        assert_eq!(tokenizer.encode(sentence).unwrap(), [2, 43, 1556, 2980, 16, 3852, 418, 3]);
        assert_eq!(tokenizer.encode("").unwrap(), [2, 3]);
    }

    #[test]
    fn a_bad_vocabulary_is_refused() {
        for (vocabulary, reason) in [
            ("[UNK]\n[PAD]\n", "[PAD] must be the first"),
            ("[PAD]\n[UNK]\n", "lacks [CLS]"),
            ("", "lacks [PAD]"),
        ] {
            let error =
                WordPieceTokenizer::new(vocabulary.as_bytes(), 8).err().unwrap().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
