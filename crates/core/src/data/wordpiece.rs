//! BERT's tokenizer over a WordPiece vocabulary (Schuster and Nakajima 2012; Devlin et al. 2019).

use super::Mask;
use super::files::{bad, read};
use crate::Error;
use rayon::prelude::*;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::path::Path;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{Tokenizer, TruncationParams};

/// Id of `[PAD]`.
pub(super) const PADDING: u32 = 0;

/// `[MASK]`, if the vocabulary has it, and the special tokens: those of BERT, and the unused ones that its
/// vocabularies reserve.
fn mask(vocabulary: &HashMap<String, u32, impl BuildHasher>) -> Option<Mask> {
    let token = *vocabulary.get("[MASK]")?;
    let is_special = |entry: &str| {
        matches!(entry, "[PAD]" | "[UNK]" | "[CLS]" | "[SEP]" | "[MASK]")
            || entry.starts_with("[unused") && entry.ends_with(']')
    };
    let special = vocabulary.iter().filter(|(entry, _)| is_special(entry)).map(|(_, id)| *id);
    let mut special: Vec<u32> = special.collect();
    special.sort_unstable();
    Some(Mask { token, special })
}

/// Rows that an embedding of the vocabulary needs.
fn entries(vocabulary: &HashMap<String, u32, impl BuildHasher>) -> usize {
    vocabulary.values().max().map_or(0, |last| *last as usize + 1)
}

/// Ids of `[PAD]`, `[UNK]`, `[CLS]` and `[SEP]`, in that order.
fn special(vocabulary: &HashMap<String, u32, impl BuildHasher>) -> tokenizers::Result<[u32; 4]> {
    let id = |token: &str| {
        vocabulary.get(token).copied().ok_or_else(|| format!("the vocabulary lacks {token}"))
    };
    if id("[PAD]")? != PADDING {
        return Err("[PAD] must be the first entry of the vocabulary".into());
    }
    Ok([PADDING, id("[UNK]")?, id("[CLS]")?, id("[SEP]")?])
}

/// The first line without text, counted from 1, but for the end of the file.
fn without_text(vocabulary: &[u8]) -> Option<usize> {
    let content = vocabulary.strip_suffix(b"\n").unwrap_or(vocabulary);
    let empty = |line: &[u8]| line.iter().all(u8::is_ascii_whitespace);
    content.split(|byte| *byte == b'\n').position(empty).map(|place| place + 1)
}

/// The first line that says again what an earlier one says, counted from 1: blanks at the end are no part of an entry.
fn repeated(vocabulary: &[u8]) -> Option<usize> {
    let mut known = HashSet::new();
    let content = vocabulary.strip_suffix(b"\n").unwrap_or(vocabulary);
    let mut lines = content.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    lines.position(|line| !known.insert(line)).map(|place| place + 1)
}

/// Whether an entry that is no special token has a capital letter.
fn is_cased(vocabulary: &[u8]) -> bool {
    let mut entries = vocabulary.split(|byte| *byte == b'\n');
    entries.any(|entry| !entry.starts_with(b"[") && entry.iter().any(u8::is_ascii_uppercase))
}

fn truncation(max_length: usize) -> Option<TruncationParams> {
    (max_length < usize::MAX)
        .then(|| TruncationParams { max_length: max_length.max(3), ..Default::default() })
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
        let uncased = BertNormalizer::default();
        Self::of_vocabulary(vocabulary, uncased, max_length)
            .map_err(|error| Error::Tokenizer(error.to_string()))
    }

    /// The tokenizer of a pretrained network: `vocab.txt`, or a `tokenizer.json` of the `tokenizers` library. A
    /// `vocab.txt` does not say whether words keep their capitals and accents; they do where an entry has a capital.
    pub(super) fn of_file(path: &Path, max_length: usize) -> Result<Self, Error> {
        let bytes = read(path)?;
        let built = if path.extension().is_some_and(|extension| extension == "json") {
            Tokenizer::from_bytes(&bytes).and_then(|tokenizer| Self::whole(tokenizer, max_length))
        } else if let Some(line) = without_text(&bytes) {
            Err(format!("line {line} is no entry: a vocabulary has one token in each line").into())
        } else if let Some(line) = repeated(&bytes) {
            Err(format!("line {line} is an entry that an earlier line has").into())
        } else {
            let cased = is_cased(&bytes);
            let normalizer = BertNormalizer::new(true, true, None, !cased);
            Self::of_vocabulary(&bytes, normalizer, max_length)
        };
        built.map_err(|error| {
            bad(path, format!("{error}; `tokenizer` takes a vocab.txt, or a tokenizer.json"))
        })
    }

    /// A tokenizer that a file describes whole.
    fn whole(mut tokenizer: Tokenizer, max_length: usize) -> tokenizers::Result<Self> {
        let vocabulary = tokenizer.get_vocab(true);
        let [_, _, first, last] = special(&vocabulary)?;
        let entries = entries(&vocabulary);
        tokenizer.with_padding(None).with_truncation(truncation(max_length))?;
        let empty = tokenizer.encode_fast("", true)?;
        if empty.get_ids() != [first, last] {
            return Err(
                "its post-processor must put [CLS] before a text and [SEP] behind it".into()
            );
        }
        Ok(Self { tokenizer, entries, mask: mask(&vocabulary) })
    }

    fn of_vocabulary(
        vocabulary: &[u8],
        normalizer: BertNormalizer,
        max_length: usize,
    ) -> tokenizers::Result<Self> {
        let vocabulary = WordPiece::read_bytes(vocabulary)?;
        let entries = entries(&vocabulary);
        let [_, _, first, last] = special(&vocabulary)?;
        let special = vec![("[CLS]", first), ("[SEP]", last)];
        let mask = mask(&vocabulary);
        let model = WordPiece::builder().vocab(vocabulary).unk_token("[UNK]".into()).build()?;
        let template = TemplateProcessing::builder()
            .try_single("[CLS] $A [SEP]")?
            .special_tokens(special)
            .build()?;
        let mut tokenizer = Tokenizer::new(model);
        tokenizer
            .with_normalizer(Some(normalizer))?
            .with_pre_tokenizer(Some(BertPreTokenizer))
            .with_post_processor(Some(template))
            .with_truncation(truncation(max_length))?;
        Ok(Self { tokenizer, entries, mask })
    }

    /// Entries of the vocabulary.
    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    /// What hides a token, if the vocabulary has it.
    pub(super) fn mask(&self) -> Option<Mask> {
        self.mask.clone()
    }

    /// Token ids of sentences, each from `[CLS]` to `[SEP]`.
    ///
    /// # Errors
    /// The first one in their order.
    pub(super) fn encode_all(&self, sentences: &[&str]) -> Result<Vec<Vec<u32>>, Error> {
        let encoded: Vec<_> = sentences.par_iter().map(|sentence| self.encode(sentence)).collect();
        encoded.into_iter().collect()
    }

    /// Token ids of a sentence.
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

    #[test]
    fn a_vocabulary_of_a_file_says_whether_capitals_stay() {
        let folder = tempfile::tempdir().unwrap();
        let load = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            WordPieceTokenizer::of_file(&path, 8).map_err(|error| error.to_string())
        };
        let special = "[PAD]\n[unused0]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
        let uncased = load("uncased.txt", &format!("{special}film\ncafe\n")).unwrap();
        assert_eq!(uncased.encode("Film Café").unwrap(), [3, 6, 7, 4]);
        let mask = uncased.mask().unwrap();
        assert_eq!((uncased.entries(), mask.token, mask.special), (8, 5, (0..6).collect()));
        let last = load("last.txt", "[PAD]\n[UNK]\nfilm\n[CLS]\n[SEP]\ncafe\n[MASK]\n").unwrap();
        let mask = last.mask().unwrap();
        assert_eq!((last.entries(), mask.token, mask.special), (7, 6, vec![0, 1, 3, 4, 6]));
        let cased = load("cased.txt", &format!("{special}film\nFilm\ncafé\n")).unwrap();
        assert_eq!(cased.encode("Film film café").unwrap(), [3, 7, 6, 8, 4]);
        // The same as `tokenizer.json`.
        let path = folder.path().join("tokenizer.json");
        cased.tokenizer.save(&path, false).unwrap();
        let whole = WordPieceTokenizer::of_file(&path, 4).unwrap();
        assert_eq!((whole.entries(), whole.mask()), (9, cased.mask()));
        assert_eq!(whole.encode("Film film café").unwrap(), [3, 7, 6, 4]);
        for (name, content, reason) in [
            ("a.txt", "film\n", "a.txt: the vocabulary lacks [PAD]; `tokenizer` takes a vocab.txt"),
            ("b.txt", "[PAD]\n\n[UNK]\n", "line 2 is no entry"),
            (
                "d.txt",
                "[PAD]\n[UNK]\n[CLS]\n[SEP]\nfilm\nfilm \r\n",
                "line 6 is an entry that an earlier line has",
            ),
            ("c.json", "{}", "c.json: "),
        ] {
            let error = load(name, content).err().unwrap();
            assert!(error.contains(reason), "{error}");
        }
    }
}
