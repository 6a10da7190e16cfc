//! A WordPiece vocabulary of the words of some sentences.

use crate::Error;
use std::collections::BTreeSet;
use tokenizers::models::wordpiece::{WordPiece, WordPieceTrainer};
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{
    AddedToken, Model as _, Normalizer as _, OffsetReferential, OffsetType, PreTokenizedString,
    PreTokenizer as _, Trainer as _,
};

const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// Words that are seen less often make no token of their own.
const MIN_FREQUENCY: u64 = 2;

/// The tokens of `sentences` in the order of their ids, at most `size`: special tokens, single characters, the same as
/// continuations (`##a`), then what merging yields. Fewer, where there is too little text for more.
///
/// # Errors
/// If the tokenizer refuses a sentence.
pub fn train_wordpiece<S: AsRef<str> + Sync>(
    sentences: &[S],
    size: usize,
) -> Result<Vec<String>, Error> {
    let refused = |error: tokenizers::Error| Error::Tokenizer(error.to_string());
    // Plain ASCII is always covered, so that no English word is unknown.
    let mut first: BTreeSet<char> = ('!'..='~').filter(|c| !c.is_ascii_uppercase()).collect();
    let mut inner: BTreeSet<char> = ('0'..='9').chain('a'..='z').collect();
    for sentence in sentences {
        for word in words(sentence.as_ref()).map_err(refused)? {
            first.extend(word.chars());
            inner.extend(word.chars().skip(1));
        }
    }

    // The trainer walks a randomly seeded hash map when it numbers the `##`
    // characters, and settles ties between merges by those numbers: left alone,
    // it yields another vocabulary at each run. Listing all characters as
    // special tokens fixes the numbers beforehand.
    let initial: Vec<String> = SPECIAL
        .iter()
        .map(ToString::to_string)
        .chain(first.iter().map(char::to_string))
        .chain(inner.iter().map(|c| format!("##{c}")))
        .collect();
    let mut trainer = WordPieceTrainer::builder()
        .vocab_size(size.max(initial.len()))
        .min_frequency(MIN_FREQUENCY)
        .show_progress(false)
        .special_tokens(initial.iter().map(|t| AddedToken::from(t.as_str(), true)).collect())
        .build();
    trainer.feed(sentences.iter(), words).map_err(refused)?;
    let mut model = WordPiece::default();
    trainer.train(&mut model).map_err(refused)?;
    let mut vocabulary: Vec<(u32, String)> =
        model.get_vocab().into_iter().map(|(token, id)| (id, token)).collect();
    vocabulary.sort_unstable();
    Ok(vocabulary.into_iter().map(|(_, token)| token).collect())
}

/// Lower-cased words and punctuation marks, as BERT splits them.
fn words(sentence: &str) -> tokenizers::Result<Vec<String>> {
    let mut text = PreTokenizedString::from(sentence);
    text.normalize(|s| BertNormalizer::default().normalize(s))?;
    BertPreTokenizer.pre_tokenize(&mut text)?;
    let splits = text.get_splits(OffsetReferential::Original, OffsetType::Byte);
    Ok(splits.into_iter().map(|(word, ..)| word.to_owned()).collect())
}
