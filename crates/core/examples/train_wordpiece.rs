//! Trains the WordPiece vocabulary that ships with the movie reviews.
//!
//! ```text
//! cargo run -p actlab-core --example train_wordpiece [-- TRAIN.tsv.gz [VOCAB.txt]]
//! ```
//!
//! Reads the sentences of the training split only (default:
//! `data/movie-reviews/train.tsv.gz` of this crate) and writes one token per
//! line (default: `data/movie-reviews/vocab.txt`); the line number, counted
//! from 0, is the token's id. The same input gives the same bytes.

use std::{
    collections::BTreeSet,
    env,
    error::Error,
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;
use tokenizers::{
    AddedToken, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Trainer,
    models::wordpiece::{WordPiece, WordPieceTrainer},
    normalizers::BertNormalizer,
    pre_tokenizers::bert::BertPreTokenizer,
};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
const VOCAB_SIZE: usize = 8_000;
const MIN_FREQUENCY: u64 = 2;

fn main() -> Result<()> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/movie-reviews");
    let mut args = env::args_os().skip(1).map(PathBuf::from);
    let input = args.next().unwrap_or_else(|| data.join("train.tsv.gz"));
    let output = args.next().unwrap_or_else(|| data.join("vocab.txt"));
    if args.next().is_some() || input.to_string_lossy().starts_with('-') {
        return Err("usage: train_wordpiece [TRAIN.tsv.gz [VOCAB.txt]]".into());
    }

    let vocab = train(&read_sentences(&input)?)?;
    fs::write(&output, vocab.join("\n") + "\n")
        .map_err(|e| format!("cannot write {}: {e}", output.display()))?;
    println!("{}: {} tokens", output.display(), vocab.len());
    Ok(())
}

/// The `sentence` column of a gzipped, tab-separated file with a header.
fn read_sentences(path: &Path) -> Result<Vec<String>> {
    let file = File::open(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let mut lines = BufReader::new(MultiGzDecoder::new(file)).lines();
    let header = lines.next().ok_or("the file is empty")??;
    let column = header.split('\t').position(|name| name == "sentence");
    let column = column.ok_or("the file has no column `sentence`")?;
    lines
        .map(|line| {
            let line = line?;
            let sentence = line.split('\t').nth(column).ok_or("a row is too short")?;
            Ok(sentence.to_owned())
        })
        .collect()
}

/// Lower-cased words and punctuation marks, as BERT splits them.
fn words(sentence: &str) -> Result<Vec<String>> {
    let mut text = PreTokenizedString::from(sentence);
    text.normalize(|s| tokenizers::Normalizer::normalize(&BertNormalizer::default(), s))?;
    BertPreTokenizer.pre_tokenize(&mut text)?;
    let splits = text.get_splits(OffsetReferential::Original, OffsetType::Byte);
    Ok(splits.into_iter().map(|(word, ..)| word.to_owned()).collect())
}

/// The tokens in the order of their ids: special tokens, single characters,
/// the same as continuations (`##a`), then what merging yields.
fn train(sentences: &[String]) -> Result<Vec<String>> {
    // Plain ASCII is always covered, so that no English word is unknown.
    let mut first: BTreeSet<char> = ('!'..='~').filter(|c| !c.is_ascii_uppercase()).collect();
    let mut inner: BTreeSet<char> = ('0'..='9').chain('a'..='z').collect();
    for sentence in sentences {
        for word in words(sentence)? {
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
        .vocab_size(VOCAB_SIZE)
        .min_frequency(MIN_FREQUENCY)
        .show_progress(false)
        .special_tokens(initial.iter().map(|t| AddedToken::from(t.as_str(), true)).collect())
        .build();
    trainer.feed(sentences.iter(), words)?;
    let mut model = WordPiece::default();
    trainer.train(&mut model)?;

    let mut vocab: Vec<(u32, String)> =
        tokenizers::Model::get_vocab(&model).into_iter().map(|(token, id)| (id, token)).collect();
    vocab.sort_unstable();
    if vocab.len() != VOCAB_SIZE || vocab.iter().zip(0..).any(|((id, _), line)| *id != line) {
        let found = vocab.len();
        return Err(format!("{found} tokens instead of {VOCAB_SIZE}: too little text?").into());
    }
    Ok(vocab.into_iter().map(|(_, token)| token).collect())
}
