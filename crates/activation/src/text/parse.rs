//! The tree of a formula.

use super::lex::{Spanned, Token, tokens};
use super::{FormulaError, GATE_AND_VALUE, X};
use std::ops::Range;

/// Longest text in bytes.
const LONGEST: usize = 4000;

/// Deepest nesting.
const DEEPEST: usize = 60;

/// Greatest exponent of a power.
const GREATEST_POWER: f64 = 16.0;

/// A part of a formula, with its place in the text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expression {
    pub(super) what: What,
    pub(super) span: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    Number(f64),
    Name(String),
    Negative(Box<Expression>),
    Binary(Operator, Box<Expression>, Box<Expression>),
    /// A whole exponent.
    Power(Box<Expression>, u32),
    Call {
        function: String,
        /// Where its name stands.
        name: Range<usize>,
        arguments: Vec<Expression>,
        named: Vec<(String, Range<usize>, Expression)>,
    },
    If(Box<Condition>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Sub,
    Mul,
    Div,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    AtMost,
    Less,
    AtLeast,
    Greater,
}

impl Comparison {
    /// The same of the two sides in the other order.
    pub(super) fn mirrored(self) -> Self {
        match self {
            Self::AtMost => Self::AtLeast,
            Self::Less => Self::Greater,
            Self::AtLeast => Self::AtMost,
            Self::Greater => Self::Less,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition {
    pub(super) left: Expression,
    pub(super) comparison: Comparison,
    pub(super) right: Expression,
    pub(super) then: Expression,
    pub(super) otherwise: Expression,
}

/// The tree of `text`.
pub(super) fn parse(text: &str) -> Result<Expression, FormulaError> {
    if text.len() > LONGEST {
        let reason = format!("a formula has at most {LONGEST} bytes, this one has {}", text.len());
        return Err(FormulaError { text: text.to_owned(), span: 0..0, reason });
    }
    let mut parser = Parser { text, tokens: tokens(text)?, next: 0, depth: 0 };
    let whole = parser.expression()?;
    match parser.peek() {
        None => Ok(whole),
        Some(Token::Sign(")")) => Err(parser.error_here("`)` closes nothing")),
        Some(Token::Sign("=")) => Err(parser
            .error_here("`=` is no part of a formula; conditions are `if x <= 0 then … else …`")),
        Some(Token::Sign(_)) => {
            Err(parser.error_here("an operator, `)` or the end is expected here"))
        }
        Some(Token::Word(word)) if word == "where" => Err(parser.error_here(
            "values of parameters do not stand in this formula: they are keys beside `formula` (`b = 2`), or `--parameter b=2`",
        )),
        Some(_) => {
            Err(parser
                .error_here("an operator is missing before this; a product is written with `*`"))
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Spanned>,
    next: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(token, _)| token)
    }

    /// Where the next token is, or the end.
    fn here(&self) -> Range<usize> {
        let end = self.text.trim_end().len();
        self.tokens.get(self.next).map_or(end..end, |(_, span)| span.clone())
    }

    /// Where the last token that was taken ends.
    fn end(&self) -> usize {
        self.next.checked_sub(1).map_or(0, |last| self.tokens[last].1.end)
    }

    fn error(&self, span: Range<usize>, reason: impl Into<String>) -> FormulaError {
        FormulaError { text: self.text.to_owned(), span, reason: reason.into() }
    }

    fn error_here(&self, reason: impl Into<String>) -> FormulaError {
        self.error(self.here(), reason)
    }

    fn takes(&mut self, sign: &str) -> bool {
        let there = matches!(self.peek(), Some(Token::Sign(found)) if *found == sign);
        self.next += usize::from(there);
        there
    }

    fn takes_word(&mut self, word: &str) -> bool {
        let there = matches!(self.peek(), Some(Token::Word(found)) if found == word);
        self.next += usize::from(there);
        there
    }

    fn needs_word(&mut self, word: &str) -> Result<(), FormulaError> {
        if self.takes_word(word) {
            return Ok(());
        }
        Err(self.error_here(format!("`{word}` is missing here: `if x <= 0 then … else …`")))
    }

    /// What `inner` finds one level deeper.
    fn deeper<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, FormulaError>,
    ) -> Result<T, FormulaError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.error_here(format!("the formula is nested more than {DEEPEST} deep")));
        }
        let found = inner(self);
        self.depth -= 1;
        found
    }

    fn expression(&mut self) -> Result<Expression, FormulaError> {
        self.deeper(|parser| {
            let begin = parser.here().start;
            if !parser.takes_word("if") {
                return parser.sum();
            }
            let left = parser.sum()?;
            let comparison = match parser.peek() {
                Some(Token::Sign("<=")) => Comparison::AtMost,
                Some(Token::Sign("<")) => Comparison::Less,
                Some(Token::Sign(">=")) => Comparison::AtLeast,
                Some(Token::Sign(">")) => Comparison::Greater,
                _ => return Err(parser.error_here("`<=`, `<`, `>=` or `>` is expected here")),
            };
            parser.next += 1;
            let right = parser.sum()?;
            parser.needs_word("then")?;
            let then = parser.expression()?;
            parser.needs_word("else")?;
            let otherwise = parser.expression()?;
            let condition = Condition { left, comparison, right, then, otherwise };
            Ok(Expression { what: What::If(Box::new(condition)), span: begin..parser.end() })
        })
    }

    fn binary(
        &mut self,
        operators: [(&'static str, Operator); 2],
        operand: fn(&mut Self) -> Result<Expression, FormulaError>,
    ) -> Result<Expression, FormulaError> {
        let mut left = operand(self)?;
        while let Some((_, operator)) = operators.iter().find(|(sign, _)| self.takes(sign)) {
            let right = operand(self)?;
            let span = left.span.start..right.span.end;
            let what = What::Binary(*operator, Box::new(left), Box::new(right));
            left = Expression { what, span };
        }
        Ok(left)
    }

    fn sum(&mut self) -> Result<Expression, FormulaError> {
        self.binary([("+", Operator::Add), ("-", Operator::Sub)], Self::product)
    }

    fn product(&mut self) -> Result<Expression, FormulaError> {
        self.binary([("*", Operator::Mul), ("/", Operator::Div)], Self::signed)
    }

    fn signed(&mut self) -> Result<Expression, FormulaError> {
        let begin = self.here().start;
        if self.takes("-") {
            let inner = self.deeper(Self::signed)?;
            let span = begin..inner.span.end;
            return Ok(Expression { what: What::Negative(Box::new(inner)), span });
        }
        self.power()
    }

    fn power(&mut self) -> Result<Expression, FormulaError> {
        let base = self.atom()?;
        if !self.takes("^") {
            return Ok(base);
        }
        let whole =
            |exponent: f64| exponent.fract() == 0.0 && (0.0..=GREATEST_POWER).contains(&exponent);
        match self.peek() {
            Some(Token::Number(exponent)) if whole(*exponent) => {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
                let exponent = *exponent as u32;
                self.next += 1;
                let span = base.span.start..self.end();
                Ok(Expression { what: What::Power(Box::new(base), exponent), span })
            }
            _ => Err(self.error_here(format!(
                "an exponent is a whole number from 0 to {GREATEST_POWER}; other powers are `exp(p * ln(…))`"
            ))),
        }
    }

    fn atom(&mut self) -> Result<Expression, FormulaError> {
        let span = self.here();
        let Some(token) = self.peek().cloned() else {
            let reason = if self.tokens.is_empty() {
                "the formula is empty; write one such as `x * sigmoid(x)`"
            } else {
                "the formula ends here, but a number, a name or `(` must follow"
            };
            return Err(self.error_here(reason));
        };
        match token {
            Token::Number(value) => {
                self.next += 1;
                if !value.is_finite() {
                    return Err(self.error(span, "the number is too large"));
                }
                Ok(Expression { what: What::Number(value), span })
            }
            Token::Sign("(") => {
                self.next += 1;
                let inner = self.expression()?;
                if !self.takes(")") {
                    return Err(self.unclosed(&span));
                }
                Ok(Expression { what: inner.what, span: span.start..self.end() })
            }
            Token::Word(word) if matches!(word.as_str(), "then" | "else") => {
                Err(self
                    .error(span, format!("`{word}` has no `if` before it, or nothing before it")))
            }
            Token::Word(word) if word == "if" => Err(self.error(
                span,
                "a condition inside a formula must be in brackets: `(if x <= 0 then … else …)`",
            )),
            Token::Word(word) => {
                self.next += 1;
                if self.takes("(") {
                    return self.call(word, span);
                }
                Ok(Expression { what: What::Name(word), span })
            }
            Token::Sign(sign) => {
                Err(self
                    .error(span, format!("a number, a name or `(` is expected here, not `{sign}`")))
            }
        }
    }

    fn unclosed(&self, opened: &Range<usize>) -> FormulaError {
        match self.peek() {
            None => self.error(opened.clone(), "`)` is missing: this bracket is not closed"),
            Some(Token::Sign("=")) => {
                self.error_here("`=` is no comparison; conditions are `if x <= 0 then … else …`")
            }
            Some(_) => self.error_here("an operator or `)` is expected here"),
        }
    }

    /// What follows the bracket of a function.
    fn call(&mut self, function: String, name: Range<usize>) -> Result<Expression, FormulaError> {
        if function == X || GATE_AND_VALUE.contains(&function.as_str()) {
            let reason = format!("`{function}` is no function; a product is `{function} * (…)`");
            return Err(self.error(name, reason));
        }
        let opened = name.end..self.end();
        let (mut arguments, mut named) = (Vec::new(), Vec::new());
        if !self.takes(")") {
            loop {
                let at = self.here();
                let parameter = match (self.peek(), self.tokens.get(self.next + 1)) {
                    (Some(Token::Word(word)), Some((Token::Sign("="), _))) => Some(word.clone()),
                    _ => None,
                };
                if let Some(parameter) = parameter {
                    self.next += 2;
                    named.push((parameter, at, self.expression()?));
                } else if named.is_empty() {
                    arguments.push(self.expression()?);
                } else {
                    return Err(
                        self.error(at, "arguments without a name stand before those with one")
                    );
                }
                if self.takes(")") {
                    break;
                }
                if !self.takes(",") {
                    return Err(self.unclosed(&opened));
                }
            }
        }
        let span = name.start..self.end();
        Ok(Expression { what: What::Call { function, name, arguments, named }, span })
    }
}
