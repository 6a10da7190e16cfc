//! What reads files of others, for fuzzing: any text is read or refused, and nothing panics.

/// Whether `text` is a netrc file.
#[must_use]
pub fn netrc(text: &str) -> bool {
    crate::wandb::is_netrc(text)
}
