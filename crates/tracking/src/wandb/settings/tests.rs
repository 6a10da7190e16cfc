//! Where settings come from, and which go before others.

use super::*;

fn asked(table: Wandb) -> SinkRequest {
    SinkRequest { table, ..SinkRequest::default() }
}

fn resolve(request: &SinkRequest, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let variable = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    Settings::resolve(request, &Environment { variable: &variable, home: None })
}

#[test]
fn flags_go_before_the_environment_and_that_before_the_experiment() {
    let request = asked(Wandb { mode: Some(Mode::Offline), ..Wandb::default() });
    let mode = |request: &SinkRequest, variables: &[_]| resolve(request, variables).unwrap().mode;
    assert_eq!(mode(&SinkRequest::default(), &[]), Mode::Disabled);
    // A key is no request.
    assert_eq!(mode(&SinkRequest::default(), &[("WANDB_API_KEY", "k")]), Mode::Disabled);
    let both = [("WANDB_API_KEY", "k"), ("WANDB_MODE", "online\n")];
    assert_eq!(mode(&request, &both), Mode::Online);
    assert_eq!(mode(&request, &[("WANDB_API_KEY", "k")]), Mode::Offline);
    assert_eq!(mode(&request, &[("WANDB_MODE", "disabled")]), Mode::Disabled);
    let flag = SinkRequest { flag: Some(Mode::Offline), ..SinkRequest::default() };
    assert_eq!(mode(&flag, &[("WANDB_MODE", "disabled")]), Mode::Offline);
}

#[test]
fn names_come_from_the_environment_and_then_the_experiment() {
    let request = asked(Wandb {
        entity: Some("team".into()),
        project: Some("ours".into()),
        tags: vec!["a".into()],
        ..Wandb::default()
    });
    let settings = resolve(&request, &[]).unwrap();
    assert_eq!(settings.base_url, "https://api.wandb.ai");
    assert_eq!((settings.entity.as_deref(), settings.project.as_str()), (Some("team"), "ours"));
    assert_eq!(settings.dir, Path::new("wandb"));
    let variables = [
        ("WANDB_ENTITY", "me"),
        ("WANDB_PROJECT", "mine"),
        ("WANDB_TAGS", "b, c,"),
        ("WANDB_DIR", "/logs"),
        ("WANDB_RUN_GROUP", "g"),
        ("WANDB_BASE_URL", "https://wandb.example.org/"),
    ];
    let settings = resolve(&request, &variables).unwrap();
    assert_eq!((settings.entity.as_deref(), settings.project.as_str()), (Some("me"), "mine"));
    assert_eq!(settings.tags, ["b", "c", "a"]);
    assert_eq!(settings.dir, Path::new("/logs/wandb"));
    assert_eq!(settings.group.as_deref(), Some("g"));
    let url = settings.run_url("a team", "p", "id");
    assert_eq!(url, "https://wandb.example.org/a%20team/p/runs/id");
}

#[test]
fn keys_come_from_the_variable_or_the_netrc_of_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let netrc = folder.path().join("netrc");
    std::fs::write(&netrc, "machine wandb.example.org login user password secret1\n").unwrap();
    let netrc = netrc.to_str().unwrap();
    let request = SinkRequest { flag: Some(Mode::Online), ..SinkRequest::default() };
    let here = ("WANDB_BASE_URL", "https://wandb.example.org:8080");
    let settings = resolve(&request, &[here, ("NETRC", netrc)]).unwrap();
    assert_eq!(settings.key.as_ref().unwrap().secret(), "secret1");
    let settings = resolve(&request, &[here, ("NETRC", netrc), ("WANDB_API_KEY", "secret2\n")]);
    let settings = settings.unwrap();
    assert_eq!(settings.key.as_ref().unwrap().secret(), "secret2");
    // Of another host, nothing.
    let error = resolve(&request, &[("NETRC", netrc)]).unwrap_err().to_string();
    assert!(error.contains("api.wandb.ai") && error.contains(netrc), "{error}");
    assert!(!format!("{settings:?}").contains("secret"), "{settings:?}");
}

#[test]
fn hosts_are_named_as_wandb_login_names_them_and_a_default_is_for_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("netrc");
    let netrc = path.to_str().unwrap();
    let request = SinkRequest { flag: Some(Mode::Online), ..SinkRequest::default() };
    let key = |url: Option<&str>, text: &str| {
        std::fs::write(&path, text).unwrap();
        let mut variables = vec![("NETRC", netrc)];
        variables.extend(url.map(|url| ("WANDB_BASE_URL", url)));
        resolve(&request, &variables)
            .map(|settings| settings.key.unwrap().secret().to_owned())
            .map_err(|error| error.to_string())
    };
    let here = Some("http://127.0.0.1:18765");
    let of = |machine: &str| format!("machine {machine} login user password k4");
    assert_eq!(key(here, &of("127.0.0.1:18765")).unwrap(), "k4");
    assert_eq!(key(here, &of("127.0.0.1")).unwrap(), "k4");
    assert!(key(here, &of("127.0.0.1:1")).is_err());
    assert!(key(here, &of("api.forge.coreweave.com")).is_err());
    assert_eq!(key(None, &of("api.forge.coreweave.com")).unwrap(), "k4");
    assert_eq!(key(None, &of("api.wandb.ai")).unwrap(), "k4");
    let error = key(here, "default login anonymous password guest@example.org").unwrap_err();
    assert!(error.contains("`default` entry is not used"), "{error}");
    assert!(!error.contains("guest"), "{error}");
    let error = key(here, &format!("\u{feff}{}", of("127.0.0.1"))).unwrap_err();
    assert!(error.contains("cannot be read: line 1") && !error.contains("k4"), "{error}");
}

#[test]
fn the_settings_file_of_the_client_keeps_a_folder_from_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wandb/settings");
    std::fs::create_dir(file.parent().unwrap()).unwrap();
    let here = ("WANDB_DIR", folder.path().to_str().unwrap());
    let mode = |text: &str, request: SinkRequest, more: &[(&str, &str)]| {
        std::fs::write(&file, text).unwrap();
        let mut variables = vec![here, ("WANDB_API_KEY", "k")];
        variables.extend(more);
        resolve(&request, &variables).map(|settings| settings.mode)
    };
    let none = SinkRequest::default;
    let table = |mode| asked(Wandb { mode: Some(mode), ..Wandb::default() });
    let flag = |mode| SinkRequest { flag: Some(mode), ..SinkRequest::default() };
    let offline = "[default]\nmode = offline\n\n";
    let disabled = "[default]\r\nmode: disabled\r\n";
    assert_eq!(mode(offline, none(), &[]).unwrap(), Mode::Offline);
    assert_eq!(mode(disabled, none(), &[]).unwrap(), Mode::Disabled);
    assert_eq!(mode(offline, table(Mode::Online), &[]).unwrap(), Mode::Offline);
    assert_eq!(mode(disabled, table(Mode::Online), &[]).unwrap(), Mode::Disabled);
    assert_eq!(mode(offline, table(Mode::Disabled), &[]).unwrap(), Mode::Disabled);
    assert_eq!(mode(disabled, flag(Mode::Online), &[]).unwrap(), Mode::Online);
    let online = ("WANDB_MODE", "online");
    assert_eq!(mode(offline, none(), &[online]).unwrap(), Mode::Online);
    // It asks for nothing to be sent.
    let on = "[default]\nmode = online\n";
    assert_eq!(mode(on, none(), &[]).unwrap(), Mode::Disabled);
    assert_eq!(mode(on, table(Mode::Online), &[]).unwrap(), Mode::Online);
    assert_eq!(mode("[other]\nmode = x\n", table(Mode::Online), &[]).unwrap(), Mode::Online);
    let error = mode("[default]\nmode = x\n", none(), &[]).unwrap_err().to_string();
    assert!(error.contains("settings: mode: `x`"), "{error}");
}

#[test]
fn settings_files_name_server_and_project_and_a_foreign_one_gets_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let home = folder.path().join("home");
    write(
        "home/.config/wandb/settings",
        "[default]\nbase_url = https://w.example.org/\nentity = us\n",
    );
    write("home/_netrc", "machine w.example.org login user password k1\n");
    write("home/n", "machine here.example.org login user password k2\n");
    let resolve = |variables: &[(&str, &str)]| {
        let variable = |name: &str| match name {
            "WANDB_DIR" => Some(folder.path().to_str().unwrap().to_owned()),
            name => {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            }
        };
        let request = asked(Wandb { mode: Some(Mode::Online), ..Wandb::default() });
        let environment = Environment { variable: &variable, home: Some(home.clone()) };
        Settings::resolve(&request, &environment)
    };
    let user = resolve(&[]).unwrap();
    assert_eq!(user.base_url, "https://w.example.org");
    assert_eq!(user.key, Some(ApiKey("k1".into())));
    assert_eq!(user.entity.as_deref(), Some("us"));
    let key = ("WANDB_API_KEY", "secret");
    assert_eq!(resolve(&[key]).unwrap().base_url, "https://w.example.org");
    // The file of the folder goes before that of the user, and the hidden folder before the other.
    write("wandb/settings", "[default]\nmode = offline\n");
    write(".wandb/settings", "[default]\nbase_url = https://here.example.org\nproject = p\n");
    let error = resolve(&[key]).unwrap_err().to_string();
    let said = "names the server https://here.example.org/; set WANDB_BASE_URL to it too";
    assert!(error.contains(said) && !error.contains("secret"), "{error}");
    let agreed = ("WANDB_BASE_URL", "https://here.example.org");
    let here = resolve(&[("NETRC", "~/n"), agreed]).unwrap();
    assert_eq!((here.key, here.mode), (Some(ApiKey("k2".into())), Mode::Online));
    assert_eq!((here.project.as_str(), here.dir), ("p", folder.path().join(".wandb")));
    assert_eq!(resolve(&[key, agreed]).unwrap().key, Some(ApiKey("secret".into())));
    // The public server is never another's, and what is empty says nothing.
    write(".wandb/settings", "[default]\nbase_url = https://api.wandb.ai\nproject =\n");
    let public = resolve(&[key]).unwrap();
    assert_eq!((public.base_url.as_str(), public.project.as_str()), (PUBLIC_SERVER, "actlab"));
    // Who logs nothing is kept from nothing.
    write(".wandb/settings", "[default]\nbase_url = nonsense\nproject = a/b\n");
    assert_eq!(resolve(&[("WANDB_MODE", "disabled")]).unwrap().mode, Mode::Disabled);
    assert!(resolve(&[key]).is_err());
}

#[test]
fn names_are_those_that_the_server_takes() {
    let long = "x".repeat(70);
    for name in ["a/b", "a\\b", "a#", "a?", "a%", "a:b", "", &"x".repeat(129)] {
        let request = asked(Wandb { project: Some(name.to_owned()), ..Wandb::default() });
        let error = resolve(&request, &[]).unwrap_err().to_string();
        assert!(error.contains(&format!("wandb.project = {name:?}")), "{error}");
    }
    let tags = |tag: &str| asked(Wandb { tags: vec![tag.to_owned()], ..Wandb::default() });
    for tag in ["", &long] {
        let error = resolve(&tags(tag), &[]).unwrap_err().to_string();
        assert!(error.contains(&format!("wandb.tags = {tag:?}")), "{error}");
    }
    for (name, value) in [("WANDB_PROJECT", "team/acts"), ("WANDB_TAGS", long.as_str())] {
        let error = resolve(&SinkRequest::default(), &[(name, value)]).unwrap_err().to_string();
        assert!(error.contains(&format!("{name} = {value:?}")), "{error}");
    }
    let (project, tags) = (Some("é".repeat(128)), vec!["é".repeat(64)]);
    let request = asked(Wandb { project, tags, ..Wandb::default() });
    assert!(resolve(&request, &[]).is_ok());
}

#[test]
fn addresses_are_trimmed() {
    for url in ["http://127.0.0.1:18765/ ", " http://127.0.0.1:18765\n"] {
        let settings = resolve(&SinkRequest::default(), &[("WANDB_BASE_URL", url)]).unwrap();
        assert_eq!(settings.base_url, "http://127.0.0.1:18765");
    }
    let settings = resolve(&SinkRequest::default(), &[("WANDB_BASE_URL", "  ")]).unwrap();
    assert_eq!(settings.base_url, PUBLIC_SERVER);
    for url in ["https://app.wandb.ai", "https://wandb.ai/", "http://api.wandb.ai"] {
        let error = resolve(&SinkRequest::default(), &[("WANDB_BASE_URL", url)]).unwrap_err();
        assert!(error.to_string().contains("https://api.wandb.ai"), "{error}");
    }
}

#[test]
fn an_open_line_is_noticed() {
    for (url, open) in [
        ("http://wandb.example.org", true),
        ("http://192.168.0.7:8080", true),
        ("https://wandb.example.org", false),
        ("http://localhost:8080", false),
        ("http://127.0.0.1:8080", false),
        ("http://[::1]:8080", false),
        ("http://[::ffff:127.0.0.1]:8080", false),
        ("http://127.1.2.3", false),
        ("http://localhost.:80", false),
        ("http://localhost.example.org", true),
    ] {
        let settings = resolve(&SinkRequest::default(), &[("WANDB_BASE_URL", url)]).unwrap();
        assert_eq!(settings.key_in_the_open(), open, "{url}");
    }
}

#[test]
fn values_that_make_no_sense_are_refused() {
    for (name, value) in [
        ("WANDB_MODE", "on"),
        ("WANDB_BASE_URL", "wandb.example.org"),
        ("WANDB_BASE_URL", "ftp://wandb.example.org"),
        ("WANDB_BASE_URL", "https://me:secret@wandb.example.org"),
        ("WANDB_BASE_URL", "https://wandb.example.org/?x=1"),
        ("WANDB_BASE_URL", "https://wandb.example.org/#x"),
    ] {
        let error = resolve(&SinkRequest::default(), &[(name, value)]).unwrap_err().to_string();
        assert!(error.contains(name) && !error.contains("secret"), "{error}");
    }
}
