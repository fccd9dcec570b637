use super::*;

fn file(text: &str) -> ConfigFile {
    ConfigFile {
        path: PathBuf::from("frugal.toml"),
        text: text.to_owned(),
    }
}

fn resolve(text: &str, variables: &[(&str, &str)], flags: &Flags) -> Result<Config, ConfigError> {
    let env = |name: &str| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    Config::resolve(Some(&file(text)), env, flags, false)
}

fn refusal(text: &str, variables: &[(&str, &str)], flags: &Flags) -> String {
    resolve(text, variables, flags).unwrap_err().to_string()
}

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

#[test]
fn everything_has_a_default() {
    let config = Config::resolve(None, |_| None, &Flags::default(), true).unwrap();
    assert_eq!(config.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(config.database_url, None);
    assert_eq!(config.data_dir, Path::new("/var/lib/frugal"));
    assert_eq!(config.postgres_bin, None);
    assert_eq!(config.workers, 2);
    assert_eq!(config.lease, Duration::from_secs(4));
    assert_eq!(config.body_limit_bytes, 33_554_432);
    assert_eq!(config.dataset_limit_bytes, 67_108_864);
    assert_eq!(config.dataset_limit_rows, 100_000);
    assert_eq!(config.price_file, None);
    assert_eq!(config.log, "info");
    assert_eq!(config.log_format, LogFormat::Auto);
    assert_eq!(config.otlp_endpoint, None);
    assert_eq!(config.endpoints, Catalog::default());
    assert_eq!(config.queue, QueueConfig::default());
    assert_eq!(config.sandbox, SandboxConfig::default());
}

#[test]
fn the_queue_has_a_table_of_its_own() {
    let text = "[queue]\ngrace_seconds = 0\noutage_seconds = 7\nmost_lost_attempts = 2\nmax_running_jobs_per_owner = 3\nother_version_seconds = 4\n";
    let queue = resolve(text, &[], &Flags::default()).unwrap().queue;
    assert_eq!(queue.grace, Duration::ZERO);
    assert_eq!(queue.outage, Duration::from_secs(7));
    assert_eq!(queue.most_lost_attempts, 2);
    assert_eq!(queue.most_running_per_owner, Some(3));
    assert_eq!(queue.other_version, Duration::from_secs(4));
    let refused = |line: &str| refusal(&format!("[queue]\n{line}\n"), &[], &Flags::default());
    insta::assert_snapshot!(refused("grace_seconds = -1"), @"frugal.toml: queue.grace_seconds: `-1` will not do; give a whole number from 0 to 3600");
    insta::assert_snapshot!(refused("most_lost_attempts = 0"), @"frugal.toml: queue.most_lost_attempts: `0` will not do; give a whole number from 1 to 1000");
}

#[test]
fn the_sandbox_has_a_table_of_its_own() {
    let text = "[sandbox]\nmode = \"off\"\npython = \"/opt/python\"\nseconds = 9\nmemory_mib = 64\nprograms_at_once = 1\n";
    let config = resolve(text, &[], &Flags::default()).unwrap().sandbox;
    assert_eq!(config.mode, frugal_sandbox::Mode::Off);
    assert_eq!(config.python, Path::new("/opt/python"));
    let limits = config.limits;
    assert_eq!((limits.seconds, limits.memory_mib), (9, 64));
    assert_eq!(limits.programs_at_once, 1);
    let refused = |line: &str| refusal(&format!("[sandbox]\n{line}\n"), &[], &Flags::default());
    insta::assert_snapshot!(refused("mode = \"maybe\""), @r#"frugal.toml: sandbox.mode: `maybe` will not do; give "on" or "off""#);
    insta::assert_snapshot!(refused("seconds = 0"), @"frugal.toml: sandbox.seconds: `0` will not do; give a whole number from 1 to 600");
    insta::assert_snapshot!(refused("python = \"python3\""), @"frugal.toml: sandbox.python: `python3` will not do; give the interpreter's whole path");
}

#[test]
fn later_places_win() {
    let in_file = "listen = '127.0.0.1:1'\ndatabase_url = 'postgres://file/x'\n\
        data_dir = '/file'\npostgres_bin = '/file/bin'\nworkers = 3\nlease_seconds = 11\n\
        body_limit_bytes = 2048\ndataset_limit_bytes = 2049\ndataset_limit_rows = 2050\nlog = 'error'\nlog_format = 'human'\n";
    let config = resolve(in_file, &[], &Flags::default()).unwrap();
    assert_eq!(config.listen.port(), 1);
    assert_eq!(config.database_url.unwrap().as_str(), "postgres://file/x");
    assert_eq!(config.data_dir, Path::new("/file"));
    assert_eq!(config.postgres_bin.as_deref(), Some(Path::new("/file/bin")));
    assert_eq!(config.workers, 3);
    assert_eq!(config.lease.as_secs(), 11);
    assert_eq!(config.body_limit_bytes, 2048);
    assert_eq!(config.dataset_limit_bytes, 2049);
    assert_eq!(config.dataset_limit_rows, 2050);
    assert_eq!(config.log, "error");
    assert_eq!(config.log_format, LogFormat::Human);

    let variables = [
        ("FRUGAL_LISTEN", "[::1]:2"),
        ("DATABASE_URL", "postgresql://env/x"),
        ("FRUGAL_DATA_DIR", "/env"),
        ("FRUGAL_POSTGRES_BIN", "/env/bin"),
        ("FRUGAL_WORKERS", "4"),
        ("FRUGAL_LEASE_SECONDS", "12"),
        ("FRUGAL_BODY_LIMIT_BYTES", "4096"),
        ("FRUGAL_DATASET_LIMIT_BYTES", "4097"),
        ("FRUGAL_DATASET_LIMIT_ROWS", "4098"),
        ("FRUGAL_LOG", "warn"),
        ("FRUGAL_LOG_FORMAT", "json"),
    ];
    let config = resolve(in_file, &variables, &Flags::default()).unwrap();
    assert_eq!(config.listen.port(), 2);
    assert_eq!(config.database_url.unwrap().as_str(), "postgresql://env/x");
    assert_eq!(config.data_dir, Path::new("/env"));
    assert_eq!(config.postgres_bin.as_deref(), Some(Path::new("/env/bin")));
    assert_eq!(config.workers, 4);
    assert_eq!(config.lease.as_secs(), 12);
    assert_eq!(config.body_limit_bytes, 4096);
    assert_eq!(config.dataset_limit_bytes, 4097);
    assert_eq!(config.dataset_limit_rows, 4098);
    assert_eq!(config.log, "warn");
    assert_eq!(config.log_format, LogFormat::Json);

    let flags = Flags {
        listen: text("localhost:3"),
        database_url: text("postgres://flag/x"),
        data_dir: text("/flag"),
        workers: text("5"),
        log: text("debug"),
        log_format: text("auto"),
        ..Flags::default()
    };
    let config = resolve(in_file, &variables, &flags).unwrap();
    assert_eq!(config.listen, "127.0.0.1:3".parse().unwrap());
    assert_eq!(config.database_url.unwrap().as_str(), "postgres://flag/x");
    assert_eq!(config.data_dir, Path::new("/flag"));
    assert_eq!(config.workers, 5);
    assert_eq!(config.log, "debug");
    assert_eq!(config.log_format, LogFormat::Auto);
}

#[test]
fn an_empty_variable_is_none() {
    let config = resolve("workers = 3", &[("FRUGAL_WORKERS", "")], &Flags::default()).unwrap();
    assert_eq!(config.workers, 3);
    let config = resolve("", &[("DATABASE_URL", "")], &Flags::default()).unwrap();
    assert_eq!(config.database_url, None);
}

#[test]
fn unknown_keys_name_themselves_and_their_file_and_line() {
    let message = refusal("workers = 1\nworker = 2\n", &[], &Flags::default());
    assert!(message.starts_with("frugal.toml, line 2: "), "{message}");
    assert!(message.contains("`worker`"), "{message}");

    let nested = "[endpoints.local]\nbase_url = 'http://h/v1'\nbaseurl = 'x'\n";
    let message = refusal(nested, &[], &Flags::default());
    assert!(message.starts_with("frugal.toml, line 3: "), "{message}");
    assert!(message.contains("`baseurl`"), "{message}");
}

#[test]
fn text_that_is_not_toml_names_its_line() {
    let message = refusal("workers = 1\nlisten = \n", &[], &Flags::default());
    assert!(message.starts_with("frugal.toml, line 2: "), "{message}");
}

#[test]
fn values_that_make_no_sense_name_their_origin_and_the_remedy() {
    let none = Flags::default();
    let of_flag = Flags {
        workers: text("many"),
        ..Flags::default()
    };
    let cases = [
        (
            refusal("workers = 257", &[], &none),
            "frugal.toml: workers: `257` will not do; give a whole number from 0 to 256",
        ),
        (
            refusal("workers = -1", &[], &none),
            "frugal.toml: workers: `-1`",
        ),
        (
            refusal("", &[("FRUGAL_WORKERS", "257")], &none),
            "FRUGAL_WORKERS: `257`",
        ),
        (refusal("", &[], &of_flag), "--workers: `many`"),
        (
            refusal("listen = '8080'", &[], &none),
            "frugal.toml: listen: `8080` is no address with a port; write 127.0.0.1:8080",
        ),
        (
            refusal("log_format = 'xml'", &[], &none),
            "frugal.toml: log_format: `xml` will not do; give auto, human or json",
        ),
        (
            refusal("log = 'frugal=loud'", &[], &none),
            "frugal.toml: log: the log filter `frugal=loud`",
        ),
        (
            refusal("lease_seconds = 1", &[], &none),
            "frugal.toml: lease_seconds: `1` will not do; give a whole number from 2 to 3600",
        ),
        (
            refusal("data_dir = ''", &[], &none),
            "frugal.toml: data_dir: a directory is needed",
        ),
        (
            refusal("", &[("DATABASE_URL", "mysql://h/x")], &none),
            "DATABASE_URL: a PostgreSQL URL is needed",
        ),
        (
            refusal(
                "",
                &[("FRUGAL_ALLOW_UNAUTHENTICATED_PUBLIC_LISTEN", "sure")],
                &none,
            ),
            "FRUGAL_ALLOW_UNAUTHENTICATED_PUBLIC_LISTEN: `sure` will not do; give true or false",
        ),
        (
            refusal(
                "[endpoints.a]\nbase_url = 'ftp://h'\nallow_unlisted_models = true",
                &[],
                &none,
            ),
            "frugal.toml: endpoints.a.base_url: must begin with https://",
        ),
    ];
    for (message, expected) in cases {
        assert!(message.starts_with(expected), "{message}");
    }
}

#[test]
fn passwords_are_not_repeated() {
    for url in ["mysql://me:hunter2@h/x", "postgres://me:hunter2@h:port/x"] {
        let message = refusal("", &[("DATABASE_URL", url)], &Flags::default());
        assert!(!message.contains("hunter2"), "{message}");
    }
    let variables = [("DATABASE_URL", "postgres://me:hunter2@h/x")];
    let config = resolve("", &variables, &Flags::default()).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn the_public_is_let_in_only_in_so_many_words() {
    for address in [
        "0.0.0.0:80",
        "[::]:80",
        "192.168.1.2:80",
        "[::ffff:10.0.0.1]:80",
    ] {
        let variables = [("FRUGAL_LISTEN", address)];
        let message = refusal("", &variables, &Flags::default());
        assert!(message.starts_with("FRUGAL_LISTEN: "), "{message}");
        assert!(
            message.contains("allow_unauthenticated_public_listen = true"),
            "{message}"
        );

        assert!(message.contains("frugal keys create"), "{message}");

        // Who has keys required may listen where he likes.
        let with_keys = "[api]\nrequire_keys = true";
        let config = resolve(with_keys, &variables, &Flags::default()).unwrap();
        assert!(config.require_keys);
        let overruled = [variables[0], ("FRUGAL_REQUIRE_KEYS", "false")];
        assert!(resolve(with_keys, &overruled, &Flags::default()).is_err());
        let flags = Flags {
            require_keys: true,
            ..Flags::default()
        };
        assert!(resolve("", &overruled, &flags).unwrap().require_keys);

        let in_file = "allow_unauthenticated_public_listen = true";
        let config = resolve(in_file, &variables, &Flags::default()).unwrap();
        assert_eq!(config.listen, address.parse().unwrap());
        let flags = Flags {
            allow_unauthenticated_public_listen: true,
            ..Flags::default()
        };
        assert!(resolve("", &variables, &flags).is_ok());
        // The environment overrules the file in this direction too.
        let refused = [
            variables[0],
            ("FRUGAL_ALLOW_UNAUTHENTICATED_PUBLIC_LISTEN", "false"),
        ];
        assert!(resolve(in_file, &refused, &Flags::default()).is_err());
    }
    for address in [
        "127.0.0.1:80",
        "127.8.8.8:80",
        "[::1]:80",
        "[::ffff:127.0.0.1]:80",
    ] {
        assert!(resolve("", &[("FRUGAL_LISTEN", address)], &Flags::default()).is_ok());
    }
}

#[test]
fn endpoints_come_from_the_file() {
    let text = "[endpoints.local]\nbase_url = 'http://127.0.0.1:9000/v1'\napi = 'completions'\n\
        api_key_env = 'LOCAL_KEY'\n\
        query = { api-version = '1' }\n\
        headers = { x-title = 'a job', api-key = { env = 'OTHER_KEY' } }\n\
        [endpoints.local.limits]\nrate_limit_patience_seconds = 60\n\
        [endpoints.local.models.small]\ninput_usd_per_million = 0.5\noutput_usd_per_million = 2\n\
        cached_input_usd_per_million = 0.1\nmax_tokens_name = 'max_completion_tokens'\nomit = ['seed']\n\
        [endpoints.local.models.'org/large']\n";
    let config = resolve(text, &[], &Flags::default()).unwrap();
    let endpoint = config.endpoints.endpoint("local").unwrap();
    assert_eq!(endpoint.base_url, "http://127.0.0.1:9000/v1");
    assert_eq!(endpoint.api_key_env.as_deref(), Some("LOCAL_KEY"));
    let prices = endpoint.models["small"].prices.unwrap();
    assert_eq!(
        (prices.input_pico, prices.output_pico),
        (500_000, 2_000_000)
    );
    assert_eq!(endpoint.models["org/large"].prices, None);
    assert_eq!(prices.cached_input_pico, Some(100_000));
    assert!(endpoint.models["small"].omit.contains("seed"));
    assert_eq!(endpoint.query["api-version"], "1");
    assert_eq!(endpoint.headers.len(), 2);
    assert_eq!(endpoint.limits.rate_limit_patience_seconds, 60);
}

#[test]
fn data_go_where_the_system_wants_them() {
    let env = |variables: &'static [(&str, &str)]| {
        move |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        }
    };
    let both = env(&[("XDG_DATA_HOME", "/data"), ("HOME", "/home/ada")]);
    assert_eq!(default_data_dir(both, true), Path::new("/var/lib/frugal"));
    assert_eq!(default_data_dir(both, false), Path::new("/data/frugal"));
    let relative = env(&[("XDG_DATA_HOME", "data"), ("HOME", "/home/ada")]);
    assert_eq!(
        default_data_dir(relative, false),
        Path::new("/home/ada/.local/share/frugal")
    );
    assert_eq!(default_data_dir(|_| None, false), Path::new("frugal-data"));
}

#[test]
fn flags_are_what_clap_takes() {
    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        flags: ServeFlags,
    }
    let line = [
        "frugal",
        "--listen",
        "127.0.0.1:9",
        "--workers",
        "7",
        "--config",
        "x.toml",
    ];
    let program = <Program as clap::Parser>::try_parse_from(line).unwrap();
    let flags = Flags::from(&program.flags);
    let config = resolve("", &[], &flags).unwrap();
    assert_eq!((config.listen.port(), config.workers), (9, 7));
    assert_eq!(flags.config.as_deref(), Some(Path::new("x.toml")));
}

#[test]
fn a_price_file_is_read_and_held_to_the_catalogue() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let flags = Flags {
        config: Some(folder.path().join("frugal.toml")),
        ..Flags::default()
    };
    let models = "price_file = 'prices.json'\n[endpoints.e]\nbase_url = 'http://h/v1'\n\
        [endpoints.e.models.m]\nprice_name = 'small'\n[endpoints.e.models.unpriced]\n";
    write("frugal.toml", models);
    let missing = Config::load(&flags).unwrap_err().to_string();
    assert!(
        missing.starts_with("cannot read the price file "),
        "{missing}"
    );
    write(
        "prices.json",
        r#"{"small": {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}}"#,
    );
    let config = Config::load(&flags).unwrap();
    let prices = config.endpoints.model("e", "m").unwrap().prices.unwrap();
    assert_eq!(
        (prices.input_pico, prices.output_pico),
        (1_000_000, 2_000_000)
    );
    let unpriced: Vec<_> = config.endpoints.unpriced().collect();
    assert_eq!(unpriced, [("e", "unpriced")]);
    let elsewhere = resolve(
        "",
        &[("FRUGAL_PRICE_FILE", "/etc/p.json")],
        &Flags::default(),
    );
    assert_eq!(
        elsewhere.unwrap().price_file,
        Some(PathBuf::from("/etc/p.json"))
    );
    assert_eq!(
        refusal("price_file = ''", &[], &Flags::default()),
        "frugal.toml: price_file: a file is needed; leave it out where there is none"
    );
}

#[test]
fn traces_go_where_the_nearest_setting_says() {
    let named = |text: &str, variables: &[(&str, &str)]| {
        let config = resolve(text, variables, &Flags::default()).unwrap();
        let endpoint = config.otlp_endpoint.unwrap();
        (endpoint.url, endpoint.is_standard)
    };
    let in_file = "otlp_endpoint = 'http://file:4318'";
    let own = ("FRUGAL_OTLP_ENDPOINT", "https://own/otlp");
    let standard = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://standard:4318");
    let of_traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4318/");
    let below = "http://standard:4318/v1/traces".to_owned();
    assert_eq!(named("", &[standard]), (below, true));
    let as_it_is = (of_traces.1.to_owned(), true);
    assert_eq!(named("", &[standard, of_traces]), as_it_is);
    let file = ("http://file:4318/v1/traces".to_owned(), false);
    assert_eq!(named(in_file, &[standard, of_traces]), file);
    let own_below = "https://own/otlp/v1/traces".to_owned();
    assert_eq!(named(in_file, &[standard, own]), (own_below, false));
    let refused = |url: &str| {
        let text = format!("otlp_endpoint = '{url}'");
        refusal(&text, &[], &Flags::default())
    };
    insta::assert_snapshot!(refused("collector:4318"), @"frugal.toml: otlp_endpoint: the address of a collector is needed, such as http://127.0.0.1:4318");
    insta::assert_snapshot!(refused("https://me:secret@collector"), @"frugal.toml: otlp_endpoint: leave the user and the password out; OTEL_EXPORTER_OTLP_HEADERS can hold what lets a client in, such as authorization=Bearer%20…");
    insta::assert_snapshot!(refused("http://collector:4318/v1/traces"), @"frugal.toml: otlp_endpoint: leave /v1/traces out; it is added");
    insta::assert_snapshot!(refused("http://collector:4318?key=1"), @"frugal.toml: otlp_endpoint: leave out what begins with ? or #; a collector's address has neither");
}
