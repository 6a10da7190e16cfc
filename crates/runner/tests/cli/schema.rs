use crate::support::actlab;
use std::path::Path;

/// `actlab schema > experiments/schema.json` after a change of the types.
#[test]
fn the_schema_that_is_checked_in_is_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/schema.json");
    let checked_in = std::fs::read_to_string(path).unwrap();
    assert_eq!(actlab(&["schema"]).ok(), checked_in);
}
