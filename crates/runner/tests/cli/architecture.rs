//! ARCHITECTURE.md draws every arrow between the crates, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Crates by the names that the drawing has for them, and what each uses.
type Arrows = BTreeMap<String, BTreeSet<String>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Name in the drawing of a crate in `folder`: activation crates are one.
fn drawn_name(folder: &str) -> String {
    if folder.starts_with("crates/activations/") {
        return "activations/*".to_owned();
    }
    folder.trim_start_matches("crates/").to_owned()
}

/// Arrows of the manifests: to crates of the workspace, and to burn and polars.
fn of_manifests() -> Arrows {
    let root = root();
    let mut folders = vec!["analysis".to_owned()];
    for parent in ["crates", "crates/activations"] {
        for entry in fs::read_dir(root.join(parent)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            folders.push(format!("{parent}/{name}"));
        }
    }
    folders.retain(|folder| root.join(folder).join("Cargo.toml").is_file());
    let whole: toml::Table =
        toml::from_str(&fs::read_to_string(root.join("Cargo.toml")).unwrap()).unwrap();
    let mut names: BTreeMap<String, String> =
        ["burn", "polars"].map(|name| (name.to_owned(), name.to_owned())).into();
    for (name, dependency) in whole["workspace"]["dependencies"].as_table().unwrap() {
        if let Some(path) = dependency.get("path").and_then(toml::Value::as_str) {
            names.insert(name.clone(), drawn_name(path));
        }
    }
    let mut arrows = Arrows::new();
    for folder in folders {
        let text = fs::read_to_string(root.join(&folder).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = toml::from_str(&text).unwrap();
        let uses = arrows.entry(drawn_name(&folder)).or_default();
        for (name, dependency) in manifest["dependencies"].as_table().into_iter().flatten() {
            let own = dependency.get("path").and_then(toml::Value::as_str);
            if own.is_some_and(|path| path.contains("activations/")) {
                uses.insert("activations/*".to_owned());
            }
            uses.extend(names.get(name).cloned());
        }
    }
    arrows
}

/// Arrows of the drawing.
fn drawn() -> Arrows {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, section) = text.split_once("## Arrows").unwrap();
    let block = section.split("```").nth(1).unwrap();
    let mut arrows = Arrows::new();
    for line in block.lines().skip(1).filter(|line| !line.trim().is_empty()) {
        let (name, uses) = line.split_once("──►").unwrap_or((line, ""));
        let uses = uses.split(',').map(str::trim).filter(|name| !name.is_empty());
        arrows.insert(name.trim().to_owned(), uses.map(str::to_owned).collect());
    }
    arrows
}

#[test]
fn every_arrow_between_crates_is_drawn_and_no_other() {
    let (manifests, drawn) = (of_manifests(), drawn());
    assert!(manifests.len() >= 11, "{manifests:?}");
    assert_eq!(drawn, manifests, "ARCHITECTURE.md (left) and the manifests (right) differ");
}

/// Reading results needs no tensors.
#[test]
fn records_reports_and_trackers_build_without_burn() {
    let arrows = of_manifests();
    for name in ["record", "analysis", "tracking"] {
        let mut seen = BTreeSet::new();
        let mut next = vec![name.to_owned()];
        while let Some(name) = next.pop() {
            assert_ne!(name, "burn");
            if seen.insert(name.clone()) {
                next.extend(arrows.get(&name).into_iter().flatten().cloned());
            }
        }
    }
}
