//! Writes the beginning of an activation: a card, a plugin crate that is linked, or a crate outside of the checkout.

mod card;
mod external;

use crate::Error;
use crate::cli::{FormulaKind, NewActivationArgs};
use crate::console::outln;
use crate::shell;
use record::write_atomically;
use std::fs;
use std::path::{Path, PathBuf};

const POINTWISE: &str = include_str!("new/pointwise.rs.txt");
const GATED: &str = include_str!("new/gated.rs.txt");
const MANIFEST: &str = include_str!("new/Cargo.toml.txt");

/// Words that the language keeps to itself and that a name could be.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield", "test", "name",
];

pub(crate) fn run(args: &NewActivationArgs) -> Result<(), Error> {
    let name = args.name.trim().replace('-', "_");
    match &args.formula {
        Some(formula) => card::write(&name, formula, args),
        None if args.external => external::write(&name, args),
        None => write_crate(&name, args),
    }
}

/// The template of a formula's source.
fn source_of(kind: Option<FormulaKind>) -> &'static str {
    match kind {
        Some(FormulaKind::Gated) => GATED,
        Some(FormulaKind::Pointwise) | None => POINTWISE,
    }
}

/// `template` for the activation `name`.
fn fill(template: &str, name: &str) -> String {
    template
        .replace("@NAME@", name)
        .replace("@CRATE@", &name.replace('_', "-"))
        .replace("@TYPE@", &type_name(name))
}

/// The activations of `experiments/quick.toml`, which a new one is compared with.
const ACTIVATIONS_OF_QUICK: &str = "relu,leaky_relu,gelu,silu,swiglu";

/// What to do with the activation `name` next, where `actlab` is started by `program`. The sweep is of `file`, where another
/// folder than the checkout is the current one.
fn next_commands(name: &str, program: &str, file: Option<&Path>) -> String {
    let file = file
        .map_or(String::new(), |file| format!("{} ", shell::quoted(&file.display().to_string())));
    format!(
        "  {program} check {name}\n  {program} explain {name}\n  {program} sweep {file}--activations \
         {ACTIVATIONS_OF_QUICK},{name} --name {name}"
    )
}

/// Writes a crate and links it.
fn write_crate(name: &str, args: &NewActivationArgs) -> Result<(), Error> {
    let here = std::env::current_dir().map_err(Error::io("find", Path::new(".")))?;
    let root = workspace(&here)?;
    check_name(name)?;
    let crate_name = name.replace('_', "-");
    let folder = root.join("crates/activations").join(&crate_name);
    if folder.exists() {
        return Err(Error::Usage(format!("{} exists already", folder.display())));
    }
    if let Ok(entry) = activation::find(name) {
        return Err(Error::Usage(format!("`{name}` is already a name of {}", entry.package)));
    }

    let manifest_path = root.join("crates/runner/Cargo.toml");
    let plugins_path = root.join("crates/runner/src/plugins.rs");
    let dependency =
        format!("activation-{crate_name} = {{ path = \"../activations/{crate_name}\" }}");
    let link = format!("use activation_{name} as _;");
    let old_manifest = read(&manifest_path)?;
    let old_plugins = read(&plugins_path)?;
    let manifest = insert_sorted(&old_manifest, "activation-", &dependency)
        .ok_or_else(|| strange(&manifest_path, "`activation-… = { path = … }`"))?;
    let plugins = insert_sorted(&old_plugins, "use activation_", &link)
        .ok_or_else(|| strange(&plugins_path, "`use activation_… as _;`"))?;

    // The crate is linked only once it is whole; whatever fails, nothing half-done is left.
    let undo = |error: Error| {
        let _ = fs::remove_dir_all(&folder);
        error
    };
    let source_folder = folder.join("src");
    fs::create_dir_all(&source_folder)
        .map_err(Error::io("create", &source_folder))
        .map_err(undo)?;
    let write =
        |path: &Path, text: &str| write_atomically(path, text.as_bytes()).map_err(Error::from);
    write(&folder.join("Cargo.toml"), &fill(MANIFEST, name)).map_err(undo)?;
    write(&source_folder.join("lib.rs"), &fill(source_of(args.kind), name)).map_err(undo)?;
    write(&manifest_path, &manifest).map_err(undo)?;
    write(&plugins_path, &plugins).map_err(|error| {
        let _ = write_atomically(&manifest_path, old_manifest.as_bytes());
        undo(error)
    })?;

    let shown = |path: &Path| path.strip_prefix(&root).unwrap_or(path).display().to_string();
    outln!("wrote    {}", shown(&folder.join("Cargo.toml")));
    outln!("wrote    {}", shown(&source_folder.join("lib.rs")));
    outln!("changed  {}: {dependency}", shown(&manifest_path));
    outln!("changed  {}: {link}", shown(&plugins_path));
    outln!(
        "\nNow write its formula in {}, then:\n  cargo test -p activation-{crate_name} -p runner --lib\n{}",
        shown(&source_folder.join("lib.rs")),
        next_commands(name, "cargo run -p runner --", None)
    );
    Ok(())
}

/// The folder of the workspace that `from` lies in.
fn workspace(from: &Path) -> Result<PathBuf, Error> {
    from.ancestors()
        .find(|folder| {
            folder.join("crates/runner/src/plugins.rs").is_file()
                && folder.join("crates/activations").is_dir()
        })
        .map(Path::to_owned)
        .ok_or_else(|| {
            Error::Usage(format!(
                "{} does not lie in a checkout of ActLab: a new activation is a crate there",
                from.display()
            ))
        })
}

fn check_name(name: &str) -> Result<(), Error> {
    let refuse =
        |reason: &str| Err(Error::Usage(format!("`{name}` cannot name an activation: {reason}")));
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return refuse("it must begin with a lower-case letter");
    }
    if !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
        return refuse("it must have lower-case letters, digits and `_` only");
    }
    if name.ends_with('_') || name.contains("__") {
        return refuse("`_` must stand between letters or digits");
    }
    if name.len() > 40 {
        return refuse("it is longer than 40 characters");
    }
    if KEYWORDS.contains(&name) || name == "testing" {
        return refuse("the word is taken");
    }
    Ok(())
}

/// `leaky_relu` as `LeakyRelu`.
fn type_name(name: &str) -> String {
    name.split('_')
        .map(|word| {
            let (first, rest) = word.split_at(1);
            first.to_uppercase() + rest
        })
        .collect()
}

/// `text` with `line` among the last run of lines that begin with `prefix`, in order.
fn insert_sorted(text: &str, prefix: &str, line: &str) -> Option<String> {
    let mut lines: Vec<&str> = text.lines().collect();
    let last = lines.iter().rposition(|found| found.starts_with(prefix))?;
    let first =
        lines[..last].iter().rposition(|found| !found.starts_with(prefix)).map_or(0, |i| i + 1);
    let position = (first..=last).find(|i| lines[*i] > line).unwrap_or(last + 1);
    lines.insert(position, line);
    Some(lines.join("\n") + "\n")
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(Error::io("read", path))
}

fn strange(path: &Path, what: &str) -> Error {
    Error::Usage(format!(
        "{} has no line of the form {what} to put the new one beside",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let quick = include_str!("../../../../experiments/quick.toml");
        let list: Vec<String> =
            ACTIVATIONS_OF_QUICK.split(',').map(|name| format!("\"{name}\"")).collect();
        assert!(quick.contains(&format!("activations = [{}]", list.join(", "))));
        for name in ["mish", "leaky_relu2", "x"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in [
            "",
            "Mish",
            "2mish",
            "_mish",
            "mish_",
            "a__b",
            "fn",
            "mïsh",
            "a/b",
            "../x",
            "a b",
            &"a".repeat(41),
        ] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert_eq!(type_name("leaky_relu2"), "LeakyRelu2");
    }

    #[test]
    fn lines_are_put_in_order() {
        let text = "# use b\n\nuse activation_b as _;\nuse activation_d as _;\n";
        for (line, expected) in [
            (
                "use activation_a as _;",
                "# use b\n\nuse activation_a as _;\nuse activation_b as _;\nuse activation_d as _;\n",
            ),
            (
                "use activation_c as _;",
                "# use b\n\nuse activation_b as _;\nuse activation_c as _;\nuse activation_d as _;\n",
            ),
            (
                "use activation_e as _;",
                "# use b\n\nuse activation_b as _;\nuse activation_d as _;\nuse activation_e as _;\n",
            ),
        ] {
            assert_eq!(insert_sorted(text, "use activation_", line).unwrap(), expected);
        }
        assert_eq!(insert_sorted("nothing\n", "use activation_", "x"), None);
    }
}
