//! Patterns of names, in which `*` stands for any characters.

/// Whether `pattern`, in which `*` stands for any characters, is `name`.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, rest)) => name.strip_prefix(before).is_some_and(|name| {
            name.char_indices()
                .map(|(at, _)| at)
                .chain([name.len()])
                .any(|at| matches(rest, &name[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name, right) in [
            ("stem", "stem", true),
            ("stem", "stems", false),
            ("blocks.0.*", "blocks.0.inner", true),
            ("blocks.1.*", "blocks.11.inner", false),
            ("blocks.*.inner", "blocks.0.inner", true),
            ("blocks.*.inner", "blocks.0.outer", false),
            ("*", "", true),
            ("*n*r", "inner", true),
            ("*ü", "ü", true),
        ] {
            assert_eq!(matches(pattern, name), right, "{pattern} {name}");
        }
    }
}
