//! The user's `~/.netrc`, in which `wandb login` keeps keys.

/// Password of `host` in the text of a netrc file; that of `default` where no machine is named so.
pub(super) fn password(text: &str, host: &str) -> Option<String> {
    let mut words = Words { rest: text };
    let (mut wanted, mut found, mut fallback) = (Entry::Other, None, None);
    while let Some(word) = words.next() {
        match word {
            "machine" => {
                wanted = if words.next() == Some(host) { Entry::Host } else { Entry::Other }
            }
            "default" => wanted = Entry::Default,
            "password" => {
                let password = words.next().map(str::to_owned);
                match wanted {
                    Entry::Host => found = found.or(password),
                    Entry::Default => fallback = fallback.or(password),
                    Entry::Other => {}
                }
            }
            "login" | "account" => {
                words.next();
            }
            "macdef" => words.skip_paragraph(),
            _ => {}
        }
    }
    found.or(fallback)
}

enum Entry {
    Host,
    Default,
    Other,
}

/// Words between white space; `#` at a line's beginning makes it a comment.
struct Words<'a> {
    rest: &'a str,
}

impl Words<'_> {
    /// A macro ends with an empty line.
    fn skip_paragraph(&mut self) {
        self.rest = self.rest.split_once("\n\n").map_or("", |(_, rest)| rest);
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with('#') {
                break;
            }
            self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
        }
        let end = self.rest.find(char::is_whitespace).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::password;

    #[test]
    fn the_host_counts_and_then_the_default() {
        let text = "# keys\nmachine a.example login user password one\n\
            machine b.example\n  login user\n  password two\n\
            macdef init\n machine c.example password no\n\ndefault login user password three\n";
        let of = |host| password(text, host);
        assert_eq!(of("a.example").as_deref(), Some("one"));
        assert_eq!(of("b.example").as_deref(), Some("two"));
        assert_eq!(of("c.example").as_deref(), Some("three"));
        assert_eq!(password("machine a.example password", "a.example"), None);
        assert_eq!(password("", "a.example"), None);
    }
}
