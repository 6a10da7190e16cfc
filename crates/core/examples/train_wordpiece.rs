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

use actlab_core::data::train_wordpiece;
use flate2::read::MultiGzDecoder;
use std::{
    env,
    error::Error,
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Tokens of the vocabulary.
const SIZE: usize = 8_000;

fn main() -> Result<()> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/movie-reviews");
    let mut args = env::args_os().skip(1).map(PathBuf::from);
    let input = args.next().unwrap_or_else(|| data.join("train.tsv.gz"));
    let output = args.next().unwrap_or_else(|| data.join("vocab.txt"));
    if args.next().is_some() || input.to_string_lossy().starts_with('-') {
        return Err("usage: train_wordpiece [TRAIN.tsv.gz [VOCAB.txt]]".into());
    }

    let vocab = train_wordpiece(&read_sentences(&input)?, SIZE)?;
    if vocab.len() != SIZE {
        return Err(format!("{} tokens instead of {SIZE}: too little text?", vocab.len()).into());
    }
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
