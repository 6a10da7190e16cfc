use crate::cli::EnvArgs;
use crate::console::outln;
use crate::environment::{cores, environment};
use actlab_core::DeviceSpec;

pub(crate) fn run(args: &EnvArgs) {
    let Ok(cpu) = "cpu".parse::<DeviceSpec>() else { return };
    let environment = environment(cpu, cores());
    let json = serde_json::to_value(&environment).unwrap_or_default();
    if args.json {
        outln!("{}", serde_json::to_string_pretty(&json).unwrap_or_default());
        return;
    }
    let git = environment.git.as_ref().map_or_else(
        || "not built in a git checkout".to_owned(),
        |git| format!("{}{}", git.commit, if git.dirty { ", with changes" } else { "" }),
    );
    let features = if environment.features.is_empty() {
        "none".to_owned()
    } else {
        environment.features.join(", ")
    };
    let memory = environment
        .memory_bytes
        .map_or_else(|| "unknown".to_owned(), |bytes| format!("{} GiB", bytes >> 30));
    for (key, value) in [
        ("actlab", &environment.actlab),
        ("compiler", &environment.rustc),
        ("target", &environment.target),
        ("features", &features),
        ("system", &environment.os),
        ("processor", &environment.cpu),
        ("cores", &environment.cores.to_string()),
        ("memory", &memory),
        ("Cargo.lock", &environment.lock_sha256),
        ("git", &git),
    ] {
        outln!("{key:<11} {value}");
    }
}
