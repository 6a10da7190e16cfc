//! `actlab new activation`, in a folder that looks like a checkout.

use crate::support::{Place, place};
use std::fs;
use std::path::Path;

fn checkout() -> Place {
    let place = place();
    let real = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::create_dir_all(place.path("crates/runner/src")).unwrap();
    fs::create_dir_all(place.path("crates/activations/relu")).unwrap();
    for file in ["Cargo.toml", "src/plugins.rs"] {
        fs::copy(real.join(file), place.path("crates/runner").join(file)).unwrap();
    }
    place
}

/// Every file below the folder with its content.
fn tree(place: &Place) -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else {
                found.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    walk(&place.path(""), &mut found);
    found.sort();
    found
}

#[test]
fn it_writes_a_crate_and_links_it() {
    let place = checkout();
    insta::assert_snapshot!(place.run(&["new", "activation", "soft-plus2"]).ok());
    assert!(
        place.read("crates/runner/src/plugins.rs").contains("use activation_soft_plus2 as _;\n")
    );
    let manifest = place.read("crates/runner/Cargo.toml");
    assert!(
        manifest.contains("activation-soft-plus2 = { path = \"../activations/soft-plus2\" }\n")
    );
    insta::assert_snapshot!(place.read("crates/activations/soft-plus2/src/lib.rs"));
    insta::assert_snapshot!(place.read("crates/activations/soft-plus2/Cargo.toml"));

    place.run(&["new", "activation", "bilinear", "--kind", "gated"]).ok();
    assert!(
        place
            .read("crates/activations/bilinear/src/lib.rs")
            .contains("impl GatedFormula for Bilinear")
    );
}

#[test]
fn bad_names_and_existing_crates_change_nothing() {
    let place = checkout();
    fs::create_dir_all(place.path("crates/activations/mine/src")).unwrap();
    let before = tree(&place);
    for (name, reason) in [
        ("Mish", "lower-case letter"),
        ("2mish", "lower-case letter"),
        ("fn", "the word is taken"),
        ("../../evil", "lower-case letter"),
        ("a/b", "letters, digits"),
        ("relu", "exists already"),
        ("mine", "exists already"),
        ("swish", "is already a name of activation-silu"),
    ] {
        let said = place.run(&["new", "activation", name]).refused();
        assert!(said.contains(reason), "{said}");
    }
    assert_eq!(tree(&place), before);

    let outside = crate::support::place();
    let said = outside.run(&["new", "activation", "mish"]).refused();
    assert!(said.contains("does not lie in a checkout"), "{said}");
}
