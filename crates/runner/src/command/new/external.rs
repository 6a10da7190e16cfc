//! A crate outside of the checkout, with a program that links it.

use super::{check_name, fill, next_commands, read, source_of, workspace};
use crate::Error;
use crate::cli::NewActivationArgs;
use crate::console::outln;
use record::write_atomically;
use std::fs;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

const MAIN: &str = include_str!("main.rs.txt");
const MANIFEST: &str = include_str!("external.toml.txt");

/// Files of the checkout that make the crate build as the checkout does.
const COPIED: [&str; 2] = ["Cargo.lock", "rust-toolchain.toml"];

/// The experiment of the checkout that an activation is tried on.
const QUICK: &str = "experiments/quick.toml";

/// Writes the crate of `name`.
pub(super) fn write(name: &str, args: &NewActivationArgs) -> Result<(), Error> {
    check_name(name)?;
    if let Ok(entry) = activation::find(name) {
        return Err(Error::Usage(format!("`{name}` is already a name of {}", entry.package)));
    }
    let here = std::env::current_dir().map_err(Error::io("find", Path::new(".")))?;
    let root = workspace(&here)?;
    let root = fs::canonicalize(&root).map_err(Error::io("find", &root))?;
    let folder = args.path.clone().unwrap_or_else(|| PathBuf::from(name));
    if folder.exists() {
        return Err(Error::Usage(format!("{} exists already", folder.display())));
    }
    let manifest = manifest(name, &root)?;
    let source = fill(source_of(args.kind), name);
    let undo = |error: Error| {
        let _ = fs::remove_dir_all(&folder);
        error
    };
    let write = |file: &str, bytes: &[u8]| {
        write_atomically(&folder.join(file), bytes).map_err(Error::from).map_err(undo)
    };
    let source_folder = folder.join("src");
    fs::create_dir_all(&source_folder)
        .map_err(Error::io("create", &source_folder))
        .map_err(undo)?;
    write("Cargo.toml", manifest.as_bytes())?;
    write("src/lib.rs", source.as_bytes())?;
    write("src/main.rs", fill(MAIN, name).as_bytes())?;
    for file in COPIED {
        if let Ok(bytes) = fs::read(root.join(file)) {
            write(file, &bytes)?;
        }
    }
    for file in ["Cargo.toml", "src/lib.rs", "src/main.rs"] {
        outln!("wrote    {}", folder.join(file).display());
    }
    outln!(
        "\nIt uses the checkout in {}. Write its formula in src/lib.rs, then in {}:\n  cargo test --lib\n{}",
        root.display(),
        folder.display(),
        next_commands(name, "cargo run --", Some(&root.join(QUICK)))
    );
    Ok(())
}

/// The manifest, with the profiles of the checkout, so that the same crates are optimized.
fn manifest(name: &str, root: &Path) -> Result<String, Error> {
    let path = root.join("Cargo.toml");
    let wrong = |what: &str| Error::Usage(format!("{}: {what}", path.display()));
    let checkout: Table = toml::from_str(&read(&path)?)
        .map_err(|error| wrong(&format!("cannot be read: {error}")))?;
    let root = root.to_str().ok_or_else(|| wrong("its folder must be named in UTF-8"))?;
    // As a string of TOML, with what must be escaped in one.
    let path_of = |folder: &str| Value::String(format!("{root}/{folder}")).to_string();
    let package = name.replace('_', "-");
    let mut manifest = fill(MANIFEST, name);
    for (mark, folder) in [
        ("@ACTIVATION@", "crates/activation"),
        ("@RUNNER@", "crates/runner"),
        ("@TESTING@", "crates/activation-testing"),
    ] {
        manifest = manifest.replace(mark, &path_of(folder));
    }
    let mut profiles =
        checkout.get("profile").and_then(Value::as_table).cloned().unwrap_or_default();
    if let Some(dev) = profiles.get_mut("dev").and_then(Value::as_table_mut) {
        optimize(dev, &local_packages(Path::new(root))?, &package);
    }
    if profiles.is_empty() {
        return Ok(manifest);
    }
    let profiles = Table::from_iter([("profile".to_owned(), Value::Table(profiles))]);
    let profiles = toml::to_string(&profiles).map_err(|error| wrong(&error.to_string()))?;
    Ok(format!("{manifest}\n# As in the checkout.\n{profiles}"))
}

/// Names of the checkout's own packages: those that its lock file has without a source.
fn local_packages(root: &Path) -> Result<Vec<String>, Error> {
    let path = root.join("Cargo.lock");
    let Ok(text) = fs::read_to_string(&path) else { return Ok(Vec::new()) };
    let wrong = |error| Error::Usage(format!("{}: cannot be read: {error}", path.display()));
    let lock: Table = toml::from_str(&text).map_err(wrong)?;
    let packages = lock.get("package").and_then(Value::as_array).into_iter().flatten();
    let local = packages.filter(|package| package.get("source").is_none());
    let name = |package: &Value| package.get("name").and_then(Value::as_str).map(str::to_owned);
    Ok(local.filter_map(name).collect())
}

/// What cargo lets a profile say, and no package of it.
const OF_A_PROFILE: [&str; 5] = ["build-override", "lto", "package", "panic", "rpath"];

/// In the checkout, its packages and this one are built by what `dev` says of the workspace's own packages. Outside of it
/// they would be dependencies like all others, which are not optimized.
fn optimize(dev: &mut Table, local: &[String], package: &str) {
    let mut own: Table = dev
        .iter()
        .filter(|(key, _)| !OF_A_PROFILE.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    for key in ["debug-assertions", "overflow-checks"] {
        own.entry(key).or_insert(Value::Boolean(true));
    }
    let packages = dev.entry("package").or_insert_with(|| Value::Table(Table::new()));
    let Some(packages) = packages.as_table_mut() else { return };
    for name in local.iter().map(String::as_str).filter(|name| *name != package) {
        let settings = packages.entry(name).or_insert_with(|| Value::Table(Table::new()));
        let Some(settings) = settings.as_table_mut() else { continue };
        for (key, value) in &own {
            settings.entry(key).or_insert_with(|| value.clone());
        }
    }
}
