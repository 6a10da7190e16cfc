//! Puts the cards, the TOML files of this folder, into the program.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let folder = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    println!("cargo:rerun-if-changed={folder}");
    let mut cards = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".toml") && name != "Cargo.toml" {
            cards.push(name);
        }
    }
    cards.sort();
    let mut list = String::from("&[\n");
    for card in cards {
        let path = Path::new(&folder).join(&card);
        let _ = writeln!(list, "    ({card:?}, include_str!({:?})),", path.display().to_string());
    }
    list.push(']');
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("cards.rs"), list)
}
