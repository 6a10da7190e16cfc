use crate::cli::EnvArgs;
use crate::console::outln;
use crate::environment::{cores, environment, gpu};
use actlab_core::DeviceSpec;
use tracking::system::gpu_details;

pub(crate) fn run(args: &EnvArgs) {
    let environment = environment(DeviceSpec::CPU, cores());
    let devices: Vec<String> = DeviceSpec::all().iter().map(described).collect();
    let mut json = serde_json::to_value(&environment).unwrap_or_default();
    json["devices"] = devices.clone().into();
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
    for device in devices {
        outln!("{:<11} {device}", "device");
    }
}

/// A device with what its driver tells.
fn described((device, name): &(DeviceSpec, Option<String>)) -> String {
    let details = gpu(&device.to_string()).and_then(gpu_details);
    let told = details.as_ref().or(name.as_ref());
    told.map_or_else(|| device.to_string(), |told| format!("{device:<9} {told}"))
}
