//! Running text: escaped for Markdown, wrapped for a terminal.

/// `text` with everything that Markdown would take as markup escaped, on one line. Names come from
/// users and reasons from panics: they may hold anything.
pub(crate) fn escape(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let characters: Vec<char> =
        spaced.split_whitespace().collect::<Vec<_>>().join(" ").chars().collect();
    let word = |i: Option<usize>| {
        i.and_then(|i| characters.get(i)).is_some_and(|c: &char| c.is_alphanumeric())
    };
    let mut escaped = String::new();
    for (i, &c) in characters.iter().enumerate() {
        let markup = match c {
            '\\' | '|' | '*' | '`' | '<' | '>' | '[' | ']' | '~' | '$' | '&' => true,
            // Inside a word an underscore is one: `leaky_relu`.
            '_' => !(word(i.checked_sub(1)) && word(Some(i + 1))),
            '#' => i == 0,
            _ => false,
        };
        if markup {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// What [`escape`] was given: Markdown's backslashes are taken away again.
pub(crate) fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        plain.extend(if c == '\\' { rest.next() } else { Some(c) });
    }
    plain
}

/// Width on the screen, in columns.
pub(crate) fn width(text: &str) -> usize {
    text.chars().count()
}

/// The first `columns` characters of `text`, the last one an ellipsis if there were more.
pub(crate) fn shorten(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    text.chars().take(columns.saturating_sub(1)).chain(['…']).collect()
}

/// `text` in lines of at most `columns`, the first after `first` and the others after as many spaces.
///
/// A no-break space keeps what it joins on one line and is printed as a plain one. A word longer than
/// a line is cut.
pub(crate) fn wrap(text: &str, first: &str, columns: usize) -> String {
    let indent = " ".repeat(width(first));
    let room = columns.saturating_sub(width(first)).max(1);
    let mut lines: Vec<String> = Vec::new();
    for word in words(text) {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(&word) <= room => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => {
                let characters: Vec<char> = word.chars().collect();
                lines.extend(characters.chunks(room).map(|part| part.iter().collect()));
            }
        }
    }
    let mut wrapped = String::new();
    for (i, line) in lines.iter().enumerate() {
        wrapped.push_str(if i == 0 { first } else { &indent });
        wrapped.push_str(&line.replace('\u{a0}', " "));
        wrapped.push('\n');
    }
    wrapped
}

/// The words of `text`, split at plain spaces. One that Markdown would read as the start of a list, a
/// quotation or a heading if it began a line is joined to the word before it.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match words.last_mut() {
            Some(previous) if starts_a_block(word) => {
                previous.push('\u{a0}');
                previous.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

fn starts_a_block(word: &str) -> bool {
    let numbered = word.strip_suffix(['.', ')']).is_some_and(|digits| {
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    let rule = word.bytes().all(|byte| matches!(byte, b'-' | b'+' | b'=' | b'#' | b'_'));
    numbered || rule || word.starts_with('>')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_names_is_escaped_and_underscores_in_words_are_left() {
        assert_eq!(escape("leaky_relu(slope=0.2)"), "leaky_relu(slope=0.2)");
        assert_eq!(escape("a|b *c* _d_ <e>"), r"a\|b \*c\* \_d\_ \<e\>");
        assert_eq!(escape("two\nlines\t\u{7}"), "two lines");
        assert_eq!(escape(r"\ # [x](y)"), r"\\ # \[x\](y)");
        assert_eq!(unescape(&escape(r"a_ \ [x]*")), r"a_ \ [x]*");
    }

    #[test]
    fn lines_stay_within_the_columns_and_hang_under_the_first() {
        let wrapped = wrap("one two three four", "- ", 10);
        assert_eq!(wrapped, "- one two\n  three\n  four\n");
    }

    #[test]
    fn a_word_longer_than_a_line_is_cut() {
        assert_eq!(wrap("ab abcdefgh", "", 4), "ab\nabcd\nefgh\n");
    }

    #[test]
    fn no_line_begins_like_a_list_item() {
        assert_eq!(wrap("there were 3. More", "", 12), "there\nwere 3. More\n");
        assert_eq!(wrap("loss of - all", "", 8), "loss\nof - all\n");
    }

    #[test]
    fn what_belongs_together_stays_together() {
        assert_eq!(wrap("about 84.20\u{a0}%", "", 9), "about\n84.20 %\n");
    }

    #[test]
    fn long_names_end_in_an_ellipsis() {
        assert_eq!(shorten("softplus", 8), "softplus");
        assert_eq!(shorten("softplus2", 8), "softplu…");
    }
}
