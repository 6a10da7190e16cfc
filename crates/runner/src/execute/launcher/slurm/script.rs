//! The batch script of an array of tasks.

use super::SlurmSettings;
use crate::Error;
use std::path::Path;

/// What every job name begins with, where the user has not said otherwise.
const PREFIX: &str = "actlab";

/// Name of the job whose folder is called `batch`: another one for each submission, so that it can be found again.
pub(super) fn job_name(settings: &SlurmSettings, sweep: &str, batch: &str) -> String {
    let named = job_name_option(&settings.options).map(|(name, _)| name);
    let prefix = named.unwrap_or_else(|| format!("{PREFIX}-{sweep}"));
    // `squeue --name` takes a list with commas.
    format!("{prefix}-{batch}").replace(|c: char| c == ',' || c.is_whitespace(), "_")
}

/// The job name among `options`, and the options that it consists of.
fn job_name_option(options: &[String]) -> Option<(String, std::ops::Range<usize>)> {
    let mut found = None;
    for (i, option) in options.iter().enumerate() {
        let option = option.trim();
        let (long, short) = (option.strip_prefix("--job-name"), option.strip_prefix("-J"));
        let Some(rest) = long.or(short) else { continue };
        let name = rest.trim_start_matches('=').trim();
        let (name, end) = match options.get(i + 1) {
            Some(next) if name.is_empty() => (next.trim(), i + 2),
            _ => (name, i + 1),
        };
        found = Some((name.trim_matches(['"', '\'']).to_owned(), i..end));
    }
    found.filter(|(name, _)| !name.is_empty())
}

/// The script of the job `name` with `tasks` tasks of `threads` threads each, whose files are in `folder`. It is bytes,
/// since paths are.
pub(super) fn script(
    settings: &SlurmSettings,
    name: &str,
    folder: &Path,
    tasks: usize,
    threads: usize,
) -> Result<Vec<u8>, Error> {
    let SlurmSettings { partition, account, time, memory, gpus, container, .. } = settings;
    let at_once = settings.tasks_at_once.map(|most| format!("%{most}")).unwrap_or_default();
    let folder = std::path::absolute(folder).map_err(Error::io("find", folder))?;
    let path = folder.as_os_str().as_encoded_bytes();
    let pattern = output_pattern(path);
    let mut options: Vec<Vec<u8>> = vec![
        option("job-name", name.as_bytes()),
        option("array", format!("0-{}{at_once}", tasks - 1).as_bytes()),
        option("output", pattern.as_deref().unwrap_or(b"/dev/null")),
        option("cpus-per-task", threads.to_string().as_bytes()),
        // A task that is lost is submitted again, from its checkpoint.
        b"--no-requeue".to_vec(),
        b"--signal=B:TERM@60".to_vec(),
    ];
    let words = [
        ("partition", partition.clone()),
        ("account", account.clone()),
        ("time", time.clone()),
        ("mem", memory.clone()),
        ("gpus", gpus.map(|gpus| gpus.to_string())),
    ];
    for (key, value) in words {
        options.extend(value.map(|value| option(key, value.as_bytes())));
    }
    // The user's job name is part of `name`.
    let named = job_name_option(&settings.options).map_or(0..0, |(_, range)| range);
    let further = settings.options.iter().enumerate().filter(|(i, _)| !named.contains(i));
    options.extend(further.map(|(_, option)| option.clone().into_bytes()));
    let mut script = b"#!/bin/bash\n".to_vec();
    for option in options {
        script.extend([b"#SBATCH ".as_slice(), &option, b"\n"].concat());
    }
    if pattern.is_none() {
        let log = [b"exec >".as_slice(), &quoted(path), b"/\"$SLURM_ARRAY_TASK_ID\".log 2>&1\n"];
        script.extend(log.concat());
    }
    for line in &settings.setup {
        script.extend([line.as_bytes(), b"\n"].concat());
    }
    script.extend(b"exec ");
    match container {
        Some(image) => {
            let gpus = if gpus.is_some() { "--nv " } else { "" };
            script.extend(format!("apptainer exec {gpus}").into_bytes());
            script.extend(quoted(image.as_os_str().as_encoded_bytes()));
            script.extend(b" actlab");
        }
        None => {
            let own = std::env::current_exe().map_err(Error::io("find", Path::new("actlab")))?;
            script.extend(quoted(own.as_os_str().as_encoded_bytes()));
        }
    }
    script.extend(
        [b" worker ".as_slice(), &quoted(path), b"/\"$SLURM_ARRAY_TASK_ID\".json\n"].concat(),
    );
    Ok(script)
}

/// An option as a line of `#SBATCH` has it: sbatch reads blanks, quotes and `#` there as a shell does.
fn option(key: &str, value: &[u8]) -> Vec<u8> {
    let mut option = format!("--{key}=").into_bytes();
    if !value.iter().any(|byte| byte.is_ascii_whitespace() || b"\"'#\\".contains(byte)) {
        option.extend(value);
        return option;
    }
    option.push(b'"');
    for byte in value {
        // Some versions end the line at a `#` in quotes as well.
        if b"\"#\\".contains(byte) {
            option.push(b'\\');
        }
        option.push(*byte);
    }
    option.push(b'"');
    option
}

/// The pattern that sbatch makes the name of a task's output in `folder` of (`man sbatch`, "filename pattern"). There is
/// none where the path has a backslash, which turns replacement off, or a character that ends a line.
fn output_pattern(folder: &[u8]) -> Option<Vec<u8>> {
    if folder.iter().any(|byte| *byte == b'\\' || byte.is_ascii_control()) {
        return None;
    }
    let mut pattern = Vec::new();
    for byte in folder {
        pattern.extend(std::iter::repeat_n(*byte, if *byte == b'%' { 2 } else { 1 }));
    }
    pattern.extend(b"/%a.log");
    Some(pattern)
}

/// The word for a shell.
fn quoted(word: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> = word.split(|byte| *byte == b'\'').collect();
    [b"'".as_slice(), &parts.join(&br"'\''"[..]), b"'"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(settings: &SlurmSettings, folder: &str) -> String {
        let script = script(settings, "actlab-wide-1", Path::new(folder), 250, 4).unwrap();
        String::from_utf8(script).unwrap()
    }

    #[test]
    fn the_script_asks_for_what_the_experiment_says() {
        let settings: SlurmSettings = toml::from_str(
            r#"
            partition = "gpu"
            account = "vision"
            time = "4:00:00"
            memory = "8G"
            gpus = 1
            runs_per_task = 4
            tasks_at_once = 50
            container = "/images/act lab.sif"
            options = ["--qos=low"]
            setup = ["module load apptainer"]
            "#,
        )
        .unwrap();
        insta::assert_snapshot!(of(&settings, "/shared/results/wide/slurm/1"));
    }

    #[test]
    fn paths_are_quoted_as_sbatch_and_the_shell_read_them() {
        let line = |folder: &str, start: &str| {
            let script = of(&SlurmSettings::default(), folder);
            script.lines().find(|line| line.contains(start)).unwrap_or_default().to_owned()
        };
        for (folder, output) in [
            ("/a/b", "/a/b/%a.log"),
            ("/a b/100%j", r#""/a b/100%%j/%a.log""#),
            ("/it's", r#""/it's/%a.log""#),
            (r##"/a "b" #c"##, r##""/a \"b\" \#c/%a.log""##),
            ("/ä/b", "/ä/b/%a.log"),
            (r"/a\b", "/dev/null"),
            ("/a\nb", "/dev/null"),
        ] {
            assert_eq!(line(folder, "--output="), format!("#SBATCH --output={output}"));
        }
        assert_eq!(line(r"/a\b", "exec >"), r#"exec >'/a\b'/"$SLURM_ARRAY_TASK_ID".log 2>&1"#);
        assert_eq!(line("/a", "exec >"), "");
        assert!(
            line("/it's", "worker").ends_with(r#" worker '/it'\''s'/"$SLURM_ARRAY_TASK_ID".json"#)
        );
    }

    #[cfg(unix)]
    #[test]
    fn paths_that_are_not_utf8_are_kept() {
        use std::os::unix::ffi::OsStrExt;
        let folder = Path::new(std::ffi::OsStr::from_bytes(b"/bad\xff"));
        let script = script(&SlurmSettings::default(), "n", folder, 1, 1).unwrap();
        let has = |part: &[u8]| script.windows(part.len()).any(|window| window == part);
        assert!(has(b"--output=/bad\xff/%a.log\n") && has(b" worker '/bad\xff'/"));
    }

    #[test]
    fn every_submission_has_a_job_name_of_its_own() {
        let name = |options: &[&str]| {
            let options = options.iter().map(|option| (*option).to_owned()).collect();
            let settings = SlurmSettings { options, ..SlurmSettings::default() };
            let name = job_name(&settings, "wide", "7-1.5-1");
            assert_eq!(of(&settings, "/a").matches("job-name").count(), 1, "{name}");
            name
        };
        assert_eq!(name(&[]), "actlab-wide-7-1.5-1");
        assert_eq!(name(&["--qos=low", "--job-name=mine"]), "mine-7-1.5-1");
        assert_eq!(name(&["-J", "mine", "--qos=low"]), "mine-7-1.5-1");
        assert_eq!(name(&["--job-name=\"a, b\""]), "a__b-7-1.5-1");
    }
}
