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

    place.run(&["new", "activation", "biquadratic", "--kind", "gated"]).ok();
    assert!(
        place
            .read("crates/activations/biquadratic/src/lib.rs")
            .contains("impl GatedFormula for Biquadratic")
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

fn with_cards() -> Place {
    let place = checkout();
    fs::create_dir_all(place.path("crates/activations/cards")).unwrap();
    place
}

#[test]
fn it_writes_a_card() {
    let place = with_cards();
    let formula = "if x <= 0 then slope * x else x * tanh(x)";
    let args = ["new", "activation", "half-tanh", "--formula", formula];
    let more = ["--parameter", "slope=0.25", "--citation", "Doe 2026"];
    insta::assert_snapshot!(place.run(&[&args[..], &more].concat()).ok());
    insta::assert_snapshot!(place.read("crates/activations/cards/half_tanh.toml"));
    place.run(&["new", "activation", "mine", "--formula", "silu(gate) * value"]).ok();
    let card = place.read("crates/activations/cards/mine.toml");
    assert!(card.contains("unpublished"), "{card}");
}

#[test]
fn a_card_that_is_wrong_is_not_written() {
    let place = with_cards();
    let before = tree(&place);
    for (name, formula, more, reason) in [
        ("mine", "x * tanhh(x)", &[][..], "did you mean `tanh`"),
        ("mine", "x * b", &[], "--parameter b=1.0"),
        ("mine", "x", &["--parameter", "b=1"], "has no parameter `b`"),
        ("mine", "x * gate", &[], "not of both"),
        ("mish", "x", &[], "is already a name of activation-cards"),
        ("tanh", "x", &[], "is a word of formulas"),
        ("Mine", "x", &[], "lower-case letter"),
    ] {
        let args = [&["new", "activation", name, "--formula", formula], more].concat();
        let said = place.run(&args).refused();
        assert!(said.contains(reason), "{said}");
    }
    let said = place.run(&["new", "activation", "mine", "--parameter", "b=1"]);
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert_eq!(tree(&place), before);
}

#[test]
fn it_writes_a_crate_outside_of_the_checkout() {
    let place = checkout();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for file in ["Cargo.toml", "Cargo.lock"] {
        fs::copy(root.join(file), place.path(file)).unwrap();
    }
    let said =
        place.run(&["new", "activation", "soft-plus2", "--external", "--path", "out/mine"]).ok();
    assert!(
        said.contains("wrote    out/mine/Cargo.toml") && said.contains("cargo run -- check"),
        "{said}"
    );
    let quick = fs::canonicalize(place.path(".")).unwrap().join("experiments/quick.toml");
    let sweep = format!("cargo run -- sweep {} --activations relu,", quick.display());
    assert!(said.contains(&sweep), "{said}");
    let manifest: toml::Table = toml::from_str(&place.read("out/mine/Cargo.toml")).unwrap();
    let path = manifest["dependencies"]["runner"]["path"].as_str().unwrap();
    assert_eq!(Path::new(path), fs::canonicalize(place.path("crates/runner")).unwrap());
    assert!(manifest["workspace"].as_table().unwrap().is_empty());
    let packages = manifest["profile"]["dev"]["package"].as_table().unwrap();
    // As members of the workspace are built.
    for (package, level, units) in
        [("activation", 3, 1), ("activation-relu", 3, 1), ("actlab-core", 2, 256)]
    {
        assert_eq!(packages[package]["opt-level"].as_integer(), Some(level), "{package}");
        assert_eq!(packages[package]["codegen-units"].as_integer(), Some(units), "{package}");
        assert_eq!(packages[package]["debug-assertions"].as_bool(), Some(true), "{package}");
    }
    assert_eq!(packages["actlab-kernels"]["debug-assertions"].as_bool(), Some(false));
    let refused = |package: &toml::Value| package.get("lto").is_some();
    assert!(!packages.values().any(refused), "cargo refuses it of a package");
    assert_eq!(packages["*"]["opt-level"].as_integer(), Some(0));
    insta::assert_snapshot!(place.read("out/mine/src/main.rs"));
    assert!(place.read("out/mine/src/lib.rs").contains("impl Formula for SoftPlus2"));
    assert!(!place.read("crates/runner/src/plugins.rs").contains("soft_plus2"));
    let said = place
        .run(&["new", "activation", "soft-plus2", "--external", "--path", "out/mine"])
        .refused();
    assert!(said.contains("exists already"), "{said}");
}
