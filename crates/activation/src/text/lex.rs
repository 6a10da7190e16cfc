//! Words, numbers and signs of a formula.

use super::FormulaError;
use std::ops::Range;
use winnow::ascii::{digit0, digit1, multispace0};
use winnow::combinator::{alt, opt};
use winnow::stream::{LocatingSlice, Location, Stream};
use winnow::token::{any, one_of, take_while};
use winnow::{ModalResult, Parser};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Number(f64),
    Word(String),
    /// `+ - * / ^ ( ) , = < <= > >=`
    Sign(&'static str),
}

pub(super) type Spanned = (Token, Range<usize>);

type Input<'a> = LocatingSlice<&'a str>;

fn number(input: &mut Input<'_>) -> ModalResult<Token> {
    let mantissa = alt(((digit1, opt(('.', digit0))).take(), ('.', digit1).take()));
    let exponent = (one_of(['e', 'E']), opt(one_of(['+', '-'])), digit1);
    (mantissa, opt(exponent)).take().try_map(str::parse).map(Token::Number).parse_next(input)
}

fn word(input: &mut Input<'_>) -> ModalResult<Token> {
    let first = one_of(|c: char| c.is_ascii_alphabetic() || c == '_');
    let rest = take_while(0.., |c: char| c.is_ascii_alphanumeric() || c == '_');
    (first, rest).take().map(|word: &str| Token::Word(word.to_owned())).parse_next(input)
}

fn sign(input: &mut Input<'_>) -> ModalResult<Token> {
    alt((
        alt((
            "**".value("^"),
            "<=".value("<="),
            ">=".value(">="),
            "≤".value("<="),
            "≥".value(">="),
        )),
        alt(("+".value("+"), "-".value("-"), "−".value("-"), "*".value("*"), "·".value("*"))),
        alt(("/".value("/"), "^".value("^"), "(".value("("), ")".value(")"), ",".value(","))),
        alt(("=".value("="), "<".value("<"), ">".value(">"))),
    ))
    .map(Token::Sign)
    .parse_next(input)
}

/// The tokens of `text`, with their places in it.
pub(super) fn tokens(text: &str) -> Result<Vec<Spanned>, FormulaError> {
    let mut input = LocatingSlice::new(text);
    let mut tokens = Vec::new();
    loop {
        let _: ModalResult<&str> = multispace0.parse_next(&mut input);
        if input.eof_offset() == 0 {
            return Ok(tokens);
        }
        let begin = input.current_token_start();
        match alt((number, word, sign)).parse_next(&mut input) {
            Ok(token) => tokens.push((token, begin..input.previous_token_end())),
            Err(_) => {
                let found: ModalResult<char> = any.parse_next(&mut input);
                let found = found.unwrap_or(' ');
                return Err(FormulaError {
                    text: text.to_owned(),
                    span: begin..begin + found.len_utf8(),
                    reason: format!("`{}` is not part of a formula", found.escape_debug()),
                });
            }
        }
    }
}
