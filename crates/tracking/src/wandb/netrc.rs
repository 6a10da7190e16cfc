//! The user's `~/.netrc`, in which `wandb login` keeps keys, read as Python's `netrc` module reads it.

use std::iter::Peekable;
use std::vec::IntoIter;

/// What a netrc file says of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// The password of the machine.
    Password(String),
    /// Only `default` applies: a password for every host, which was not given for this one.
    OnlyDefault,
    /// Nothing.
    Absent,
}

/// The line, from 1, at which a file stops being one of this format. Its content may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadLine(pub(super) usize);

/// Looks up the first of `hosts` that `text` names.
pub(super) fn look_up(text: &str, hosts: &[String]) -> Result<Entry, BadLine> {
    let mut lexer = Lexer::new(text);
    let mut machines: Vec<(String, String)> = Vec::new();
    let mut default = false;
    while let Some(Token { text: word, line }) = lexer.token() {
        if word.starts_with('#') {
            lexer.skip_comment(line);
            continue;
        }
        let machine = match word.as_str() {
            "machine" => Some(lexer.token().ok_or(BadLine(line))?.text),
            "default" => None,
            "macdef" => {
                lexer.token().ok_or(BadLine(line))?;
                lexer.skip_macro().ok_or(BadLine(line))?;
                continue;
            }
            _ => return Err(BadLine(line)),
        };
        let password = lexer.entry()?.filter(|password| !password.is_empty());
        match (machine, password) {
            // As in Python, the last entry of a machine counts.
            (Some(machine), password) => {
                machines.retain(|(known, _)| *known != machine);
                machines.extend(password.map(|password| (machine, password)));
            }
            (None, password) => default = password.is_some(),
        }
    }
    let of = |host: &String| machines.iter().find(|(machine, _)| machine == host);
    Ok(match hosts.iter().find_map(of) {
        Some((_, password)) => Entry::Password(password.clone()),
        None if default => Entry::OnlyDefault,
        None => Entry::Absent,
    })
}

struct Token {
    text: String,
    /// Line on which it begins.
    line: usize,
}

struct Lexer {
    rest: Peekable<IntoIter<char>>,
    line: usize,
    /// A word that was looked at and belongs to what follows.
    pushed_back: Option<Token>,
}

impl Lexer {
    fn new(text: &str) -> Self {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let rest = text.chars().collect::<Vec<_>>().into_iter().peekable();
        Self { rest, line: 1, pushed_back: None }
    }

    fn next_char(&mut self) -> Option<char> {
        let next = self.rest.next();
        self.line += usize::from(next == Some('\n'));
        next
    }

    /// The next word. Quotes hold white space together; a backslash takes the next character as it is.
    fn token(&mut self) -> Option<Token> {
        if let Some(token) = self.pushed_back.take() {
            return Some(token);
        }
        while self.rest.next_if(|next| is_white(*next)).is_some_and(|next| {
            self.line += usize::from(next == '\n');
            true
        }) {}
        let line = self.line;
        let quoted = self.rest.next_if_eq(&'"').is_some();
        if !quoted {
            self.rest.peek()?;
        }
        let mut text = String::new();
        while let Some(next) = self.next_char() {
            match next {
                '\\' => text.extend(self.next_char()),
                '"' if quoted => break,
                next if !quoted && is_white(next) => break,
                next => text.push(next),
            }
        }
        Some(Token { text, line })
    }

    /// The password of an entry, whose name was just read.
    fn entry(&mut self) -> Result<Option<String>, BadLine> {
        let mut password = None;
        while let Some(token) = self.token() {
            match token.text.as_str() {
                "machine" | "default" | "macdef" => {
                    self.pushed_back = Some(token);
                    break;
                }
                "login" | "user" | "account" => drop(self.token()),
                "password" => password = self.token().map(|token| token.text),
                comment if comment.starts_with('#') => self.skip_comment(token.line),
                _ => return Err(BadLine(token.line)),
            }
        }
        Ok(password)
    }

    /// Leaves out what is left of `line`, if it has not ended with the last word.
    fn skip_comment(&mut self, line: usize) {
        while self.line == line && self.next_char().is_some() {}
    }

    /// Leaves out a macro, which an empty line ends. The word before has taken the end of its own line.
    fn skip_macro(&mut self) -> Option<()> {
        let mut length = 0;
        loop {
            match self.next_char()? {
                '\n' if length == 0 => return Some(()),
                '\n' => length = 0,
                _ => length += 1,
            }
        }
    }
}

fn is_white(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\n' | '\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, host: &str) -> Result<Entry, BadLine> {
        look_up(text, &[host.to_owned()])
    }

    fn password(text: &str) -> Entry {
        Entry::Password(text.to_owned())
    }

    #[test]
    fn the_host_counts_and_never_the_default() {
        let text = "# all my keys\nmachine a.example login user password one\n\
            machine b.example\n  login user # a comment\n  password two\n\
            macdef init\n machine c.example password no\n\ndefault login user password three\n";
        assert_eq!(of(text, "a.example"), Ok(password("one")));
        assert_eq!(of(text, "b.example"), Ok(password("two")));
        assert_eq!(of(text, "c.example"), Ok(Entry::OnlyDefault));
        assert_eq!(of("machine a.example password", "a.example"), Ok(Entry::Absent));
        assert_eq!(of("", "a.example"), Ok(Entry::Absent));
        let both = ["a.example:80".to_owned(), "a.example".to_owned()];
        assert_eq!(look_up(text, &both), Ok(password("one")));
        let text = format!("{text}machine a.example:80 password four");
        assert_eq!(look_up(&text, &both), Ok(password("four")));
    }

    /// What `python3 -c 'import netrc; print(netrc.netrc(FILE).authenticators("h"))'` prints.
    #[test]
    fn files_are_read_as_python_reads_them() {
        for (text, expected) in [
            ("machine h login user password \"in quotes\"\n", Ok(password("in quotes"))),
            ("machine h login user password \"a\\\"b\"", Ok(password("a\"b"))),
            ("machine h login user password a\\ b", Ok(password("a b"))),
            ("machine h login user password a\"b\"", Ok(password("a\"b\""))),
            ("machine h login user password #k2\n", Ok(password("#k2"))),
            ("machine h login user #k2\n password k\n", Ok(password("k"))),
            ("machine h user me account x password k", Ok(password("k"))),
            ("machine h password one machine h password two", Ok(password("two"))),
            ("macdef init\r\n\tcd pub\r\n\r\nmachine h\r\n\tpassword k1\r\n", Ok(password("k1"))),
            ("macdef init\n\nmachine h password k1\n", Ok(password("k1"))),
            ("machine h login user password login\n", Ok(password("login"))),
            ("machine h password \"\"", Ok(Entry::Absent)),
            ("\u{feff}machine h login user password k3\n", Err(BadLine(1))),
            ("machine h password k\nsecret\n", Err(BadLine(2))),
            ("\n\nhello\n", Err(BadLine(3))),
            ("macdef init\n machine h password k", Err(BadLine(1))),
            ("machine", Err(BadLine(1))),
        ] {
            assert_eq!(of(text, "h"), expected, "{text:?}");
        }
    }
}
