//! Running text as HTML.

/// Running text of the Markdown report, of which it knows escapes and bold words.
pub(crate) fn inline(markdown: &str) -> String {
    let mut html = String::new();
    let mut bold = false;
    let mut rest = markdown.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' => html.extend(rest.next().map(|c| escape(c.encode_utf8(&mut [0; 4])))),
            '*' if rest.peek() == Some(&'*') => {
                rest.next();
                html += if bold { "</strong>" } else { "<strong>" };
                bold = !bold;
            }
            c => html += &escape(c.encode_utf8(&mut [0; 4])),
        }
    }
    html
}

/// Text that holds no markup.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_markup() {
        assert_eq!(escape("<b a='\"&"), "&lt;b a=&#39;&quot;&amp;");
        assert_eq!(inline("**a\\*b** < c"), "<strong>a*b</strong> &lt; c");
    }
}
