//! A card for a formula that is text.

use super::{check_name, next_commands, type_name, workspace};
use crate::Error;
use crate::cli::NewActivationArgs;
use crate::console::outln;
use activation::{Parameters, TextFormula, card, functions};
use record::write_atomically;
use std::path::Path;
use std::sync::Arc;
use toml::{Table, Value};

/// Range of a parameter of which nothing else is said.
const RANGE: [f64; 2] = [-100.0, 100.0];

/// Writes the card of `formula`, called `name`.
pub(super) fn write(name: &str, formula: &str, args: &NewActivationArgs) -> Result<(), Error> {
    check_name(name)?;
    let taken = functions().chain(["x", "gate", "value", "pi"]).any(|word| word == name);
    if taken {
        return Err(Error::Usage(format!(
            "`{name}` cannot name an activation with a card: it is a word of formulas"
        )));
    }
    if let Ok(entry) = activation::find(name) {
        return Err(Error::Usage(format!("`{name}` is already a name of {}", entry.package)));
    }
    let here = std::env::current_dir().map_err(Error::io("find", Path::new(".")))?;
    let root = workspace(&here)?;
    let folder = root.join("crates/activations/cards");
    if !folder.is_dir() {
        return Err(Error::Usage(format!(
            "{} is missing: cards are written there",
            folder.display()
        )));
    }
    let path = folder.join(format!("{name}.toml"));
    if path.exists() {
        return Err(Error::Usage(format!("{} exists already", path.display())));
    }
    let citation = args.citation.as_deref().unwrap_or("unpublished");
    let text = card(name, formula, &args.parameter, citation)?;
    write_atomically(&path, text.as_bytes())?;
    let shown = path.strip_prefix(&root).unwrap_or(&path).display().to_string();
    outln!("wrote    {shown}");
    outln!(
        "\nState in it what is known: citation, LaTeX, ranges of parameters, traps, figures. Then:\n{}",
        next_commands(name, "cargo run -p runner --", None)
    );
    Ok(())
}

/// The text of the card of `formula`, which has been read and built.
fn card(name: &str, formula: &str, given: &[String], citation: &str) -> Result<String, Error> {
    let formula = TextFormula::parse(formula.trim()).map_err(activation::BuildError::from)?;
    let values = given.iter().map(|pair| parameter(pair)).collect::<Result<Vec<_>, Error>>()?;
    let names: Vec<&str> = formula.parameters().collect();
    for (place, (parameter, _)) in values.iter().enumerate() {
        if !names.contains(parameter) {
            return Err(Error::Usage(format!(
                "--parameter {parameter}: the formula `{}` has no parameter `{parameter}`",
                formula.text()
            )));
        }
        if values[..place].iter().any(|(other, _)| other == parameter) {
            return Err(Error::Usage(format!("--parameter {parameter}: it is given twice")));
        }
    }
    let mut parameters = Table::new();
    for name in names {
        let Some((_, default)) = values.iter().find(|(given, _)| *given == name) else {
            return Err(Error::Usage(format!(
                "the formula has the parameter `{name}`, whose default is missing: give it by --parameter {name}=1.0"
            )));
        };
        let [min, max] = [RANGE[0].min(*default), RANGE[1].max(*default)];
        let help = format!("parameter {name} of the formula");
        let mut table = Table::new();
        for (key, value) in [("default", *default), ("min", min), ("max", max)] {
            table.insert(key.to_owned(), Value::Float(value));
        }
        table.insert("help".to_owned(), Value::String(help));
        parameters.insert(name.to_owned(), Value::Table(table));
    }
    let mut card = Table::new();
    card.insert("name".to_owned(), name.into());
    card.insert("title".to_owned(), type_name(name).into());
    card.insert("aliases".to_owned(), Value::Array(Vec::new()));
    card.insert("formula".to_owned(), formula.text().into());
    card.insert("latex".to_owned(), latex(formula.text()).into());
    card.insert("citation".to_owned(), citation.into());
    if !parameters.is_empty() {
        card.insert("parameters".to_owned(), Value::Table(parameters));
    }
    let text = toml::to_string(&card).map_err(|error| Error::Usage(error.to_string()))?;
    // What is wrong with it is told before it is written.
    let file = format!("{name}.toml");
    for registration in card::registrations("activation-cards", &[(&file, &text)]) {
        activation::build_registered(&Arc::new(registration), &Parameters::new())?;
    }
    Ok(text)
}

/// Name and value of `NAME=VALUE`.
fn parameter(pair: &str) -> Result<(&str, f64), Error> {
    let wrong = || Error::Usage(format!("--parameter {pair}: must be NAME=VALUE, as in b=1.5"));
    let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
    let value: f64 = value.trim().parse().map_err(|_| wrong())?;
    if !value.is_finite() {
        return Err(Error::Usage(format!("--parameter {pair}: the value must be a finite number")));
    }
    Ok((name.trim(), value))
}

/// A formula's text as LaTeX, word by word.
fn latex(formula: &str) -> String {
    let tokens = tokens(formula);
    let mut out = String::new();
    let mut place = 0;
    while let Some(token) = tokens.get(place) {
        place += 1;
        match token.as_str() {
            "*" => {
                // Two numbers side by side would be one, and a sign would subtract.
                let after = tokens[place..].iter().find(|token| *token != " ");
                let after = after.map(String::as_str).unwrap_or_default();
                let digit = after.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.');
                out.push_str(if digit { r"\cdot " } else { r"\," });
            }
            "^" => {
                // An exponent is a whole number.
                while tokens.get(place).is_some_and(|token| token == " ") {
                    place += 1;
                }
                let exponent = tokens.get(place).map(String::as_str).unwrap_or_default();
                out += &format!("^{{{exponent}}}");
                place += 1;
            }
            "<=" | "≤" => out.push_str(r"\le"),
            ">=" | "≥" => out.push_str(r"\ge"),
            token => out += &word(token),
        }
    }
    out
}

/// Words, numbers with their exponents, signs of comparison, and single characters.
fn tokens(formula: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    for c in formula.chars() {
        let part_of_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
        let grows = tokens.last().is_some_and(|last| {
            let number = last.starts_with(|c: char| c.is_ascii_digit() || c == '.');
            let exponent = number && last.ends_with(['e', 'E']) && matches!(c, '+' | '-');
            last.chars().all(part_of_word) && part_of_word(c)
                || number && last.contains(['e', 'E']) && part_of_word(c)
                || exponent
                || matches!((last.as_str(), c), ("<" | ">", '='))
                || matches!((last.as_str(), c), ("*", '*'))
        });
        match tokens.last_mut().filter(|_| grows) {
            Some(last) => last.push(c),
            None => tokens.push(c.to_string()),
        }
    }
    tokens.iter_mut().filter(|token| *token == "**").for_each(|token| *token = "^".to_owned());
    tokens
}

/// A word or a number as LaTeX writes it.
fn word(token: &str) -> String {
    if token.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        let Some((digits, exponent)) = token.split_once(['e', 'E']) else {
            return token.to_owned();
        };
        let exponent = exponent.trim_start_matches('+');
        return match digits {
            "1" => format!("10^{{{exponent}}}"),
            digits => format!(r"{digits} \cdot 10^{{{exponent}}}"),
        };
    }
    match token {
        "pi" => r"\pi".to_owned(),
        "if" | "then" | "else" => format!(r"\text{{ {token} }}"),
        one if one.chars().count() == 1 => one.to_owned(),
        name => format!(r"\mathrm{{{}}}", name.replace('_', r"\_")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_read_as_it_was_meant() {
        let text = card("mine", "x * sigmoid(b * x)", &["b=1.5".to_owned()], "Doe 2026").unwrap();
        let read: Table = toml::from_str(&text).unwrap();
        assert_eq!(read["parameters"]["b"]["default"].as_float(), Some(1.5));
        assert_eq!(read["latex"].as_str(), Some(r"x \, \mathrm{sigmoid}(b \, x)"));
        assert_eq!(read["citation"].as_str(), Some("Doe 2026"));
        assert!(card("mine", "silu(gate) * value", &[], "unpublished").is_ok());
    }

    #[test]
    fn latex_says_what_the_formula_says() {
        for (formula, right) in [
            ("2*x^10", r"2\,x^{10}"),
            ("x * -2", r"x \cdot  -2"),
            ("x*1e-3", r"x\cdot 10^{-3}"),
            ("2.5e4*x", r"2.5 \cdot 10^{4}\,x"),
            ("2*3*x", r"2\cdot 3\,x"),
            ("(x+1) ^ 2 * x", r"(x+1) ^{2} \, x"),
            ("x**2", r"x^{2}"),
            (
                "if x >= 0 then x else exp_m1(x)",
                r"\text{ if } x \ge 0 \text{ then } x \text{ else } \mathrm{exp\_m1}(x)",
            ),
        ] {
            assert_eq!(latex(formula), right, "{formula}");
        }
    }

    #[test]
    fn wrong_cards_say_what_would_be_right() {
        for (formula, parameters, reason) in [
            ("x * tanhh(x)", &[][..], "no function `tanhh` (did you mean `tanh`"),
            ("x * b", &[], "give it by --parameter b=1.0"),
            ("x", &["b=1"], "has no parameter `b`"),
            ("x * b", &["b=one"], "must be NAME=VALUE"),
            ("x * b", &["b=inf"], "finite"),
            ("x * b", &["b=1", "b=2"], "given twice"),
            ("x *", &[], "must follow"),
            ("x * learn", &["learn=1"], "is a key of activations"),
        ] {
            let given: Vec<String> = parameters.iter().map(|one| (*one).to_owned()).collect();
            let error = card("mine", formula, &given, "unpublished").unwrap_err().to_string();
            assert!(error.contains(reason), "{formula}: {error}");
        }
    }
}
