//! Numbers, text and tables as readers see them: below everything that writes for people.

pub(crate) mod html;
pub(crate) mod number;
pub(crate) mod table;
pub(crate) mod text;
