//! The parameters of a BERT in files of Hugging Face's `transformers`.

use super::{Bert, BertSize, SEGMENTS};
use crate::Error;
use crate::model::weights::{Source, Sources, Weights};
use burn::nn::Linear;

/// Embeddings by our names and theirs.
const EMBEDDINGS: [(&str, &str); 3] = [
    ("token", "word_embeddings"),
    ("position", "position_embeddings"),
    ("segment", "token_type_embeddings"),
];

/// Linear layers of an encoder layer by our names and theirs.
const LINEAR: [(&str, &str); 6] = [
    ("attention.query", "attention.self.query"),
    ("attention.key", "attention.self.key"),
    ("attention.value", "attention.self.value"),
    ("attention.output", "attention.output.dense"),
    ("feed_forward.inner", "intermediate.dense"),
    ("feed_forward.outer", "output.dense"),
];

/// Layer norms of an encoder layer by our names and theirs.
const NORMS: [(&str, &str); 2] =
    [("attention_norm", "attention.output.LayerNorm"), ("feed_forward_norm", "output.LayerNorm")];

/// A buffer of some files that holds 0, 1, 2, ….
const POSITION_IDS: &str = "embeddings.position_ids";

/// The parts of a file that every network takes whole.
const ENCODER: [&str; 2] = ["embeddings.", "encoder."];

/// The sources of the parameters of `bert`.
///
/// # Errors
/// If the file holds another network.
pub(super) fn sources(bert: &Bert, file: &Weights) -> Result<Sources, Error> {
    let names = file.names();
    let prefix = prefix(file, &names)?;
    check_size(bert, file, prefix, &names)?;
    check_feed_forward(bert, file)?;
    check_vocabulary(bert, file, prefix)?;
    let mut table = Table { file, prefix, sources: Sources::new() };
    table.encoder(bert)?;
    // What the file has for every BERT, and this one does not take, makes the file's network another one.
    let taken: Vec<&String> = table.sources.values().map(|source| &source.tensor).collect();
    let left = names.iter().find(|name| {
        let own = name.strip_prefix(prefix).unwrap_or_default();
        ENCODER.iter().any(|part| own.starts_with(part))
            && own != POSITION_IDS
            && !taken.contains(name)
    });
    if let Some(left) = left {
        let reason = format!("`{left}` belongs to no parameter of a BERT with absolute positions");
        return Err(file.refuse(reason));
    }
    if let (Some(pooler), Some(head)) = (&bert.pooler, &bert.head) {
        table.classifier(pooler, head)?;
    }
    if bert.tokens.is_some() {
        table.tokens()?;
    }
    Ok(table.sources)
}

/// What goes before the names of the encoder.
fn prefix(file: &Weights, names: &[String]) -> Result<&'static str, Error> {
    let word = format!("embeddings.{}.weight", EMBEDDINGS[0].1);
    let found = ["bert.", ""].into_iter().find(|prefix| {
        let wanted = format!("{prefix}{word}");
        names.contains(&wanted)
    });
    found.ok_or_else(|| {
        let first: Vec<&str> = names.iter().map(String::as_str).take(3).collect();
        file.refuse(format!(
            "holds no BERT: it lacks `bert.{word}`; its first tensors are {}",
            first.join(", ")
        ))
    })
}

/// Refuses a network of another width or depth.
fn check_size(bert: &Bert, file: &Weights, prefix: &str, names: &[String]) -> Result<(), Error> {
    let word = format!("{prefix}embeddings.{}.weight", EMBEDDINGS[0].1);
    let width = file.shape(&word).and_then(|shape| shape.get(1).copied()).unwrap_or(0);
    let number = |name: &String| {
        let rest = name.strip_prefix(prefix)?.strip_prefix("encoder.layer.")?;
        rest.split('.').next()?.parse::<usize>().ok()
    };
    let layers = names.iter().filter_map(number).max().map_or(0, |last| last.saturating_add(1));
    let [_, own_width] = bert.embeddings.token.weight.dims();
    let own_layers = bert.layers.len();
    if (layers, width) == (own_layers, own_width) {
        return Ok(());
    }
    let right = BertSize::ALL.into_iter().find(|size| {
        let (layers_of, width_of, _) = size.numbers();
        (layers_of, width_of) == (layers, width)
    });
    let hint = match right {
        Some(size) => format!("use size = \"{}\"", size.name()),
        None => "no `size` is like it".to_owned(),
    };
    Err(file.refuse(format!(
        "holds {layers} layers of width {width}, and the model has {own_layers} of width {own_width}: {hint}"
    )))
}

/// Refuses gated feed-forwards, for whose value no file has weights.
fn check_feed_forward(bert: &Bert, file: &Weights) -> Result<(), Error> {
    let Some(gated) = bert.layers.iter().map(|layer| &layer.site).find(|site| site.fan() > 1)
    else {
        return Ok(());
    };
    Err(file.refuse(format!(
        "has no weights for the gate and value of `{}` at `{}`: drawn anew beside pretrained layers, they would put this \
         activation at a disadvantage. Leave gated activations out, or leave out `init`",
        gated.label(),
        gated.name()
    )))
}

/// Refuses token embeddings for another vocabulary.
fn check_vocabulary(bert: &Bert, file: &Weights, prefix: &str) -> Result<(), Error> {
    let word = format!("{prefix}embeddings.{}.weight", EMBEDDINGS[0].1);
    let [own, width] = bert.embeddings.token.weight.dims();
    let found = file.shape(&word).unwrap_or_default();
    if found == [own, width] {
        return Ok(());
    }
    Err(file.refuse(format!(
        "`{word}` has the shape {found:?}, but `embeddings.token.weight` needs [{own}, {width}]: the tokenizer of the data \
         has {own} entries, and the file {}; give the data set the vocabulary of the file, as in tokenizer = \"vocab.txt\"",
        found.first().copied().unwrap_or(0)
    )))
}

struct Table<'a> {
    file: &'a Weights,
    prefix: &'static str,
    sources: Sources,
}

impl Table<'_> {
    fn has(&self, tensor: &str) -> bool {
        self.file.shape(tensor).is_some()
    }

    fn add(&mut self, name: String, tensor: String, transposed: bool) {
        let source = Source { tensor, transposed, first_rows: false };
        self.sources.insert(name, source);
    }

    /// A linear layer; `own` and `theirs` are names without `weight` and `bias`.
    fn linear(&mut self, own: &str, theirs: &str) {
        self.add(format!("{own}.weight"), format!("{theirs}.weight"), true);
        self.add(format!("{own}.bias"), format!("{theirs}.bias"), false);
    }

    /// A layer norm, whose parameters have other names in files that were converted from TensorFlow.
    fn norm(&mut self, own: &str, theirs: &str) {
        for (part, new, old) in [("gamma", "weight", "gamma"), ("beta", "bias", "beta")] {
            let (new, old) = (format!("{theirs}.{new}"), format!("{theirs}.{old}"));
            let tensor = if !self.has(&new) && self.has(&old) { old } else { new };
            self.add(format!("{own}.{part}"), tensor, false);
        }
    }

    fn encoder(&mut self, bert: &Bert) -> Result<(), Error> {
        let prefix = self.prefix;
        for (own, theirs) in EMBEDDINGS {
            let tensor = format!("{prefix}embeddings.{theirs}.weight");
            // A shorter `max_length` never reaches the last positions.
            let first_rows = own == "position";
            let source = Source { tensor, transposed: false, first_rows };
            self.sources.insert(format!("embeddings.{own}.weight"), source);
        }
        self.norm("embeddings.norm", &format!("{prefix}embeddings.LayerNorm"));
        for layer in 0..bert.layers.len() {
            let (own, theirs) =
                (format!("layers.{layer}"), format!("{prefix}encoder.layer.{layer}"));
            for (our, their) in LINEAR {
                self.linear(&format!("{own}.{our}"), &format!("{theirs}.{their}"));
            }
            for (our, their) in NORMS {
                self.norm(&format!("{own}.{our}"), &format!("{theirs}.{their}"));
            }
        }
        self.check_positions(bert)
    }

    fn check_positions(&self, bert: &Bert) -> Result<(), Error> {
        let of = |place: usize| {
            let tensor = format!("{}embeddings.{}.weight", self.prefix, EMBEDDINGS[place].1);
            let rows = self.file.shape(&tensor).and_then(|shape| shape.first().copied());
            (tensor, rows.unwrap_or(0))
        };
        let [wanted, _] = bert.embeddings.position.weight.dims();
        let (tensor, rows) = of(1);
        if (1..wanted).contains(&rows) {
            return Err(self.file.refuse(format!(
                "`{tensor}` has {rows} positions, and `max_length` is {wanted}: it must be at most {rows}"
            )));
        }
        let (tensor, rows) = of(2);
        if rows > 0 && rows != SEGMENTS {
            let reason = format!("`{tensor}` has {rows} segments, but a BERT has {SEGMENTS}");
            return Err(self.file.refuse(reason));
        }
        Ok(())
    }

    /// The pooler, and the classifier where the file has one.
    fn classifier(&mut self, pooler: &Linear, head: &Linear) -> Result<(), Error> {
        let tensor = format!("{}pooler.dense", self.prefix);
        if !self.has(&format!("{tensor}.weight")) {
            let [inputs, outputs] = pooler.weight.dims();
            return Err(self.file.refuse(format!(
                "lacks `{tensor}.weight` [{outputs}, {inputs}], which `pooler.weight` needs: the file of a BertForMaskedLM has \
                 no pooler; take that of a BertModel, a BertForPreTraining or a BertForSequenceClassification"
            )));
        }
        self.linear("pooler", &tensor);
        let Some(found) = self.file.shape("classifier.weight") else { return Ok(()) };
        let [inputs, classes] = head.weight.dims();
        if found != [classes, inputs] {
            return Err(self.file.refuse(format!(
                "`classifier.weight` has the shape {found:?}, but `head.weight` needs [{classes}, {inputs}]: the data set has \
                 {classes} classes; take a file without a classifier, whose head is then drawn by the seed"
            )));
        }
        self.linear("head", "classifier");
        Ok(())
    }

    /// The head that predicts tokens.
    fn tokens(&mut self) -> Result<(), Error> {
        const HEAD: &str = "cls.predictions";
        let word = format!("{}embeddings.{}.weight", self.prefix, EMBEDDINGS[0].1);
        let decoder = format!("{HEAD}.decoder.weight");
        if !self.has(&format!("{HEAD}.transform.dense.weight")) {
            return Err(self.file.refuse(format!(
                "lacks `{HEAD}.transform.dense.weight`, which `tokens.transform.weight` needs: it has no masked-LM head; take \
                 the file of a BertForMaskedLM or a BertForPreTraining"
            )));
        }
        if self.has(&decoder) && !self.file.same(&decoder, &word) {
            return Err(self.file.refuse(format!(
                "`{decoder}` differs from `{word}`: only a decoder that is tied to the token embedding is supported"
            )));
        }
        self.linear("tokens.transform", &format!("{HEAD}.transform.dense"));
        self.norm("tokens.norm", &format!("{HEAD}.transform.LayerNorm"));
        let (bias, other) = (format!("{HEAD}.bias"), format!("{HEAD}.decoder.bias"));
        let tensor = if !self.has(&bias) && self.has(&other) { other } else { bias };
        self.add("tokens.bias".to_owned(), tensor, false);
        Ok(())
    }
}
