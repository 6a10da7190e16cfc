use super::Splits;
use super::tokens::{self, Tokenizer};
use crate::Error;
use crate::component::{Definition, check_all};
use crate::data::files::{bad, read, shared_file};
use crate::data::{DataSource, Dataset, Loading};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Plain text of the user's own, for language models: files in UTF-8.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlainText {
    /// A file, or a folder whose `.txt` files are read in the order of their names.
    pub path: PathBuf,
    /// The validation split, as a file or a folder; with `test`, all of `path` is training text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<PathBuf>,
    /// The test split, as a file or a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
    /// Without files of their own, the part of the text behind the training text that is the validation split, and
    /// again as much behind that is the test split; 0.05 where absent. Splits end with a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out: Option<f64>,
    /// What a token is.
    #[serde(default)]
    pub tokenizer: Tokenizer,
    /// Entries of the vocabulary of `bpe`; 1024 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<usize>,
}

/// The part that is held out where nothing else is said.
const HELD_OUT: f64 = 0.05;

crate::register_component!(DatasetRegistration: PlainText);

impl Definition for PlainText {
    const NAME: &'static str = "text";
    const ABOUT: &'static str = "plain text of your own, for language models: `path`";

    fn check(&self) -> Result<(), Error> {
        let both = self.validation.is_some() == self.test.is_some();
        check_all([
            ("validation", both, "and `test` must be given together, or neither"),
            (
                "held_out",
                self.held_out.is_none_or(|part| part > 0.0 && part <= 0.4),
                "must be above 0 and at most 0.4",
            ),
            (
                "held_out",
                self.held_out.is_none() || self.test.is_none(),
                "contradicts `validation` and `test`: leave it out",
            ),
        ])?;
        tokens::check(self.tokenizer, self.vocabulary)
    }

    fn words(&self) -> String {
        format!("text of {}", self.path.display())
    }
}

impl DataSource for PlainText {
    fn load(&self, loading: &Loading<'_>) -> Result<Dataset, Error> {
        let splits = match (&self.validation, &self.test) {
            (Some(validation), Some(test)) => {
                let files = [files(&self.path)?, files(validation)?, files(test)?];
                if let Some(shared) = shared_file(files.each_ref().map(Vec::as_slice)) {
                    let reason = format!(
                        "and `validation` must hold other files than `path` and each other: {} is in two of them",
                        shared.display()
                    );
                    return Err(Error::spec("test", reason));
                }
                let [train, validation, test] =
                    [&self.path, validation, test].map(|path| text(path));
                Splits { train: train?, validation: validation?, test: test? }
            }
            _ => split(&self.path, &text(&self.path)?, self.held_out.unwrap_or(HELD_OUT))?,
        };
        let tokens = (self.tokenizer, self.vocabulary);
        let data = splits.dataset(Self::NAME, tokens, loading.max_tokens)?;
        let own = |file: &Option<PathBuf>| file.clone().unwrap_or_else(|| self.path.clone());
        for (part, name, file) in [
            (&data.train, "training", self.path.clone()),
            (&data.validation, "validation", own(&self.validation)),
            (&data.test, "test", own(&self.test)),
        ] {
            if part.is_empty() {
                return Err(bad(&file, format!("gives no {name} text: too little data")));
            }
        }
        Ok(data)
    }
}

/// A file, or all `.txt` files of a folder.
fn files(path: &Path) -> Result<Vec<PathBuf>, Error> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let io = |source| Error::Io { action: "read", path: path.to_owned(), source };
    let mut files = std::fs::read_dir(path)
        .map_err(io)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>, std::io::Error>>()
        .map_err(io)?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    if files.is_empty() {
        return Err(bad(path, "holds no file that ends in `.txt`"));
    }
    Ok(files)
}

/// The text of a file, or of all `.txt` files of a folder.
fn text(path: &Path) -> Result<String, Error> {
    let files = files(path)?;
    let mut whole = String::new();
    for file in &files {
        let bytes = read(file)?;
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            let line = 1 + bytes[..error.valid_up_to()].iter().filter(|b| **b == b'\n').count();
            bad(file, format!("line {line}: is not UTF-8"))
        })?;
        whole.push_str(text);
        // The last line of a file may lack its end.
        if files.len() > 1 && !whole.ends_with('\n') {
            whole.push('\n');
        }
    }
    if whole.trim().is_empty() {
        return Err(bad(path, "is empty: it must hold text"));
    }
    Ok(whole)
}

/// `text` with the last parts of it as validation and test splits, cut behind the ends of lines.
fn split(path: &Path, text: &str, held_out: f64) -> Result<Splits, Error> {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "texts are far below 2^52 bytes"
    )]
    let at = |part: f64| (text.len() as f64 * part) as usize;
    let behind_line = |from: usize| {
        let rest = text.as_bytes().get(from..)?;
        rest.iter().position(|byte| *byte == b'\n').map(|end| from + end + 1)
    };
    let cut = || {
        let first = behind_line(at(1.0 - 2.0 * held_out))?;
        let second = behind_line(at(1.0 - held_out).max(first))?;
        (second < text.len()).then_some((first, second))
    };
    let (first, second) = cut().ok_or_else(|| {
        let reason =
            "has too few lines to be split: give `validation` and `test` files of their own";
        bad(path, reason)
    })?;
    Ok(Splits {
        train: text[..first].to_owned(),
        validation: text[first..second].to_owned(),
        test: text[second..].to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Catalogue;
    use std::collections::BTreeMap;

    fn load(source: &PlainText) -> Result<Dataset, String> {
        let catalogue = Catalogue::new(PathBuf::new(), BTreeMap::new());
        let loading = Loading { catalogue: &catalogue, max_tokens: Some(8) };
        source.check().and_then(|()| source.load(&loading)).map_err(|error| error.to_string())
    }

    fn source(path: &Path) -> PlainText {
        serde_json::from_value(serde_json::json!({ "path": path })).unwrap()
    }

    #[test]
    fn a_text_is_split_behind_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        let lines: String = (100..200).map(|line| format!("line {line}\n")).collect();
        std::fs::write(&path, &lines).unwrap();
        let splits = split(&path, &lines, 0.1).unwrap();
        assert_eq!(splits.validation.lines().next(), Some("line 181"));
        assert_eq!(splits.test.lines().next(), Some("line 191"));
        assert_eq!([splits.train, splits.validation, splits.test].concat(), lines);
        let data = load(&source(&path)).unwrap();
        assert!(data.train.len() > 90 && !data.test.is_empty());
        // A folder of two such files is the same as one after the other.
        std::fs::write(folder.path().join("b.txt"), &lines).unwrap();
        std::fs::write(folder.path().join("c.md"), "no text file").unwrap();
        let both = load(&source(folder.path())).unwrap();
        assert!(both.train.len() > 19 * data.train.len() / 10);
        assert_ne!(both.sha256, data.sha256);
    }

    #[test]
    fn held_out_text_is_no_training_text() {
        let folder = tempfile::tempdir().unwrap();
        let lines: String = (100..200).map(|line| format!("line {line}\n")).collect();
        let write = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &lines).unwrap();
            path
        };
        let (inside, apart) = (write("novels/test.txt"), write("held/validation.txt"));
        write("novels/a.txt");
        let with = |validation: &Path, test: &Path| PlainText {
            validation: Some(validation.to_owned()),
            test: Some(test.to_owned()),
            ..source(&folder.path().join("novels"))
        };
        for wrong in [with(&apart, &inside), with(&apart, &apart), with(&inside, &apart)] {
            let error = load(&wrong).unwrap_err();
            assert!(error.contains("must hold other files than `path`"), "{error}");
        }
        assert!(load(&with(&apart, &write("held/test.txt"))).is_ok());
    }

    #[test]
    fn what_is_wrong_is_told_with_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            source(&path)
        };
        let missing = load(&source(Path::new("/nowhere.txt"))).unwrap_err();
        assert!(missing.contains("cannot read /nowhere.txt"), "{missing}");
        for (source, reason) in [
            (write("latin.txt", b"a\nb\xff\n"), "latin.txt: line 2: is not UTF-8"),
            (write("empty.txt", b" \n\n"), "empty.txt: is empty"),
            (write("line.txt", b"one line"), "line.txt: has too few lines to be split"),
            (source(folder.path().join("none").as_path()), "none"),
        ] {
            let error = load(&source).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        let mut wrong = write("x.txt", b"a\nb\nc\n");
        wrong.held_out = Some(0.5);
        assert!(load(&wrong).unwrap_err().contains("at most 0.4"));
        wrong.held_out = Some(0.1);
        wrong.vocabulary = Some(300);
        assert!(load(&wrong).unwrap_err().contains("bytes have 256 entries"));
    }
}
