//! Running text as HTML.

/// Running text of the Markdown report, of which it knows escapes, bold words and code.
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
            '`' => {
                let code: String = rest.by_ref().take_while(|c| *c != '`').collect();
                html += &format!("<code>{}</code>", escape(&code));
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
        assert_eq!(inline("a `x * y < 2` b"), "a <code>x * y &lt; 2</code> b");
    }
}
