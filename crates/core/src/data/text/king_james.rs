use super::Splits;
use super::tokens::{self, Tokenizer};
use crate::Error;
use crate::component::Definition;
use crate::data::files::unpack;
use crate::data::{DataSource, Dataset, Loading};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The King James Bible (1611), split by books: 60 for training, 2 for validation, 4 for the test; 4,029,151, 42,369 and
/// 66,392 bytes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KingJamesBible {
    /// What a token is.
    #[serde(default)]
    pub tokenizer: Tokenizer,
    /// Entries of the vocabulary of `bpe`; 1024 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<usize>,
}

crate::register_component!(DatasetRegistration: KingJamesBible);

macro_rules! split {
    ($name:literal) => {
        ($name, include_bytes!(concat!("../../../data/king-james-bible/", $name)))
    };
}

/// Names and packed contents.
const TRAIN: (&str, &[u8]) = split!("train.txt.gz");
const VALIDATION: (&str, &[u8]) = split!("validation.txt.gz");
const TEST: (&str, &[u8]) = split!("test.txt.gz");

impl Definition for KingJamesBible {
    const NAME: &'static str = "king-james-bible";
    const ALIASES: &'static [&'static str] = &["bible"];
    const ABOUT: &'static str = "English prose of 1611 for language models, split by books: 4,029,151 training, 42,369 validation, 66,392 test bytes";

    fn check(&self) -> Result<(), Error> {
        tokens::check(self.tokenizer, self.vocabulary)
    }

    fn words(&self) -> String {
        Self::NAME.to_owned()
    }
}

impl DataSource for KingJamesBible {
    const PLACE: &'static str = "ships with the program";
    const LICENCE: &'static str = "public domain";

    fn load(&self, loading: &Loading<'_>) -> Result<Dataset, Error> {
        let text = |(name, packed): (&str, &[u8])| {
            let unpacked = unpack(Path::new(name), packed)?;
            Ok::<_, Error>(String::from_utf8_lossy(&unpacked).into_owned())
        };
        let splits =
            Splits { train: text(TRAIN)?, validation: text(VALIDATION)?, test: text(TEST)? };
        let tokens = (self.tokenizer, self.vocabulary);
        splits.dataset(Self::NAME, tokens, loading.max_tokens)
    }
}
