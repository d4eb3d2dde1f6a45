//! The `check` subcommand, black box: what it finds, what it prints, how it ends.

#[cfg(feature = "aws")]
mod aws;
mod targets;

use std::io::Read;
use std::net::{SocketAddr, TcpListener};

use crate::BINARY;
use serde_json::Value;
use testkit::backend::Backend;
use testkit::net::port::Port;
use testkit::process::{Ended, end};
use testkit::scratch::Scratch;

/// A set-up to check: static targets, on ports that are free.
struct Setup {
    port: Port,
    admin: Port,
    targets: Vec<SocketAddr>,
}

impl Setup {
    fn of(targets: &[SocketAddr]) -> Self {
        Self { port: Port::free(), admin: Port::free(), targets: targets.to_vec() }
    }

    /// What the check says of it; `variables` go over what it needs.
    fn check(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
        let targets: Vec<_> = self.targets.iter().map(SocketAddr::to_string).collect();
        let mut command = BINARY.command();
        command
            .arg("check")
            .args(arguments)
            .env("HOST", "127.0.0.1")
            .env("PORT", self.port.text())
            .env("ADMIN_PORT", self.admin.text())
            .env("NODE_FILTER", "static")
            .env("TARGETS", targets.join(","))
            .env("HEALTH_CHECK_TIMEOUT", "5s")
            .envs(variables.iter().copied());
        end(&mut command)
    }
}

/// The table's row that begins with this status and these words.
fn row<'a>(ended: &'a Ended, status: &str, what: &str) -> &'a str {
    let is_it = |line: &&str| {
        line.strip_prefix(status).is_some_and(|rest| rest.trim_start().starts_with(what))
    };
    let found = ended.stdout.lines().find(is_it);
    found.unwrap_or_else(|| panic!("no {status} {what}:\n{}\n{}", ended.stdout, ended.stderr))
}

fn verdict(ended: &Ended) -> &str {
    ended.stdout.lines().last().unwrap_or_default()
}

/// An address where nobody listens, as long as the port lives.
fn nobody() -> (Port, SocketAddr) {
    let port = Port::free();
    let address = port.local();
    (port, address)
}

#[test]
fn a_good_set_up_would_serve() {
    let (one, two) = (Backend::named("one"), Backend::named("two"));
    let ended = Setup::of(&[one.address, two.address]).check(&[], &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let mut checks = vec!["configuration", "kernel", "io_uring", "locked memory", "open files"];
    checks.extend(["client port", "admin port", "discovery", "targets"]);
    for what in checks {
        row(&ended, "ok", what);
    }
    for backend in [&one, &two] {
        row(&ended, "ok", &format!("target {}", backend.address));
    }
    assert_eq!(verdict(&ended), "would serve: 0 failures, 0 warnings");
    assert_eq!(ended.stderr, "");
}

#[test]
fn columns_are_aligned() {
    let backend = Backend::named("backend");
    let setup = Setup::of(&[backend.address]);
    let ended = setup.check(&[], &[]);
    let rows: Vec<_> = ended.stdout.lines().take_while(|line| !line.is_empty()).collect();
    // The longest in its column.
    let what = format!("client port {}", setup.port.local());
    let detail = 6 + what.len() + 2;
    for row in &rows {
        assert_eq!(&row[4..6], "  ", "{row}");
        assert_eq!(&row[detail - 2..detail], "  ", "{row}");
        assert_ne!(&row[detail..=detail], " ", "{row}");
    }
    assert!(rows.len() >= 10, "{rows:?}");
}

#[test]
fn it_fails_when_no_target_answers() {
    let (_port, address) = nobody();
    let ended = Setup::of(&[address]).check(&[], &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let target = row(&ended, "FAIL", &format!("target {address}"));
    assert!(target.ends_with("connection refused"), "{target}");
    let all = row(&ended, "FAIL", "targets");
    assert!(all.contains("0 of 1") && all.contains("HEALTH_CHECK_PATH"), "{all}");
    assert_eq!(verdict(&ended), "would not serve: 2 failures, 0 warnings");
}

#[test]
fn it_warns_when_some_targets_do_not_answer() {
    let backend = Backend::named("backend");
    let (_port, address) = nobody();
    let ended = Setup::of(&[backend.address, address]).check(&[], &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    row(&ended, "ok", &format!("target {}", backend.address));
    row(&ended, "warn", &format!("target {address}"));
    assert!(row(&ended, "warn", "targets").contains("1 of 2"), "{ended:?}");
    assert_eq!(verdict(&ended), "would serve: 0 failures, 2 warnings");
}

#[test]
fn a_target_that_hangs_is_not_waited_for() {
    let hanging = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = hanging.local_addr().expect("it is bound");
    let ended = Setup::of(&[address]).check(&[], &[("HEALTH_CHECK_TIMEOUT", "200ms")]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let target = row(&ended, "FAIL", &format!("target {address}"));
    assert!(target.ends_with("timed out after 200ms"), "{target}");
}

#[test]
fn ports_that_another_program_holds_are_failures() {
    let backend = Backend::named("backend");
    let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = other.local_addr().expect("it is bound").port().to_string();
    let setup = Setup::of(&[backend.address]);
    for (variable, what) in [("PORT", "client port"), ("ADMIN_PORT", "admin port")] {
        let ended = setup.check(&[], &[(variable, &port)]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let row = row(&ended, "FAIL", what);
        assert!(row.contains(&format!("{variable}=\"{port}\" is in use")), "{row}");
        assert_eq!(verdict(&ended), "would not serve: 1 failure, 0 warnings");
    }
}

#[test]
fn ports_that_a_running_instance_holds_are_warnings() {
    let backend = Backend::named("backend");
    let running = BINARY.start(&[backend.address], &[("HEALTH_CHECK_PORT", "")]);
    let host = running.address.ip().to_string();
    let port = running.address.port().to_string();
    let admin = running.admin.port().to_string();
    let setup = Setup::of(&[backend.address]);

    let both = setup.check(
        &[],
        &[("HOST", &host), ("PORT", &port), ("ADMIN_HOST", &host), ("ADMIN_PORT", &admin)],
    );
    assert_eq!(both.code, Some(0), "{both:?}");
    for what in ["client port", "admin port"] {
        let row = row(&both, "warn", what);
        assert!(row.contains("a running instance of this balancer (version"), "{row}");
    }
    assert_eq!(verdict(&both), "would serve: 0 failures, 2 warnings");

    let client_only = setup.check(&[], &[("HOST", &host), ("PORT", &port)]);
    assert_eq!(client_only.code, Some(0), "{client_only:?}");
    let alone = row(&client_only, "warn", "client port");
    let holder = format!("held by process {} (stateless-load-balancer)", running.process.id());
    assert!(alone.contains(&holder) && alone.contains("unless OVERLAP=true"), "{alone}");
    let beside = setup.check(&[], &[("HOST", &host), ("PORT", &port), ("OVERLAP", "true")]);
    assert_eq!(beside.code, Some(0), "{beside:?}");
    let beside = row(&beside, "warn", "client port");
    assert!(beside.contains("would share its clients, as in a rolling restart"), "{beside}");
    // It goes on undisturbed.
    assert_eq!(running.admin_get("/readyz").expect("it answers").status, 200);
}

#[test]
fn bad_variables_are_failures_and_all_are_told() {
    let backend = Backend::named("backend");
    let setup = Setup::of(&[backend.address]);
    let bad = [("PORT", "x"), ("HEALTH_CHECK_PATH", "ping"), ("HEALTH_CHECK_PATHS", "/")];
    let ended = setup.check(&[], &bad);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let rows: Vec<_> = ended.stdout.lines().filter(|line| line.starts_with("FAIL")).collect();
    assert!(rows.len() == 2 && rows[0].contains("configuration PORT "), "{rows:?}");
    assert!(rows[1].contains("HEALTH_CHECK_PATH=\"ping\""), "{rows:?}");
    row(&ended, "warn", "variable HEALTH_CHECK_PATHS");
    // The rest of the machine is looked at all the same.
    row(&ended, "ok", "admin port");
    let source = setup.check(&[], &[("PORT", "x"), ("SOURCE_ADDRESSES", "192.0.2.1")]);
    row(&source, "FAIL", "variable SOURCE_ADDRESSES");
    // What the balancer itself says of it.
    let started = end(BINARY.command().env("PORT", "x").env("NODE_FILTER", "static"));
    let (_, said) = rows[0].split_once("PORT=").expect("it names the variable");
    assert!(started.stderr.contains(said), "{said}: {}", started.stderr);
}

#[test]
fn misspelt_variables_are_warned_of() {
    let backend = Backend::named("backend");
    let misspelt = [
        ("HEALTHCHECK_PATH", "HEALTH_CHECK_PATH"),
        ("TARGET_PORTS", "TARGET_PORT"),
        ("NODE_FILTERS", "NODE_FILTER"),
    ];
    let variables: Vec<_> = misspelt.iter().map(|(name, _)| (*name, "1")).collect();
    let strangers = [("HOME", "/"), ("HOSTNAME", "a"), ("AWS_PROFILE", "b"), ("PATH", "/bin")];
    let all = [variables, strangers.to_vec()].concat();
    let ended = Setup::of(&[backend.address]).check(&[], &all);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for (name, meant) in misspelt {
        let row = row(&ended, "warn", &format!("variable {name} "));
        assert!(row.ends_with(&format!("did you mean {meant}?")), "{row}");
    }
    assert_eq!(verdict(&ended), "would serve: 0 failures, 3 warnings");
}

#[test]
fn variables_without_effect_are_warned_of() {
    let backend = Backend::named("backend");
    let ended = Setup::of(&[backend.address]).check(&[], &[("TRUSTED_PROXIES", "10.0.0.1")]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let row = row(&ended, "warn", "variable TRUSTED_PROXIES ");
    assert!(row.ends_with("ACCEPT_PROXY_PROTOCOL=false does not read it"), "{row}");
    assert_eq!(verdict(&ended), "would serve: 0 failures, 1 warning");
}

#[test]
fn a_zone_that_is_not_known_or_has_no_target_is_warned_of() {
    let backend = Backend::named("backend");
    let setup = Setup::of(&[backend.address]);
    let (_port, nobody) = nobody();
    let endpoint = format!("http://{nobody}");
    let aware = ("ZONE_AWARE", "true");
    let asked = setup.check(&[], &[aware, ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &endpoint)]);
    assert_eq!(asked.code, Some(0), "{asked:?}");
    assert!(row(&asked, "warn", "zone").contains("the own zone is not known"), "{asked:?}");
    let elsewhere = setup.check(&[], &[aware, ("AVAILABILITY_ZONE", "a")]);
    assert!(row(&elsewhere, "warn", "zone").contains("\"a\": 0 of 1 targets"), "{elsewhere:?}");
    let targets = format!("{}@a", backend.address);
    let near = setup.check(&[], &[aware, ("AVAILABILITY_ZONE", "a"), ("TARGETS", &targets)]);
    assert!(row(&near, "ok", "zone").contains("\"a\": 1 of 1 targets"), "{near:?}");
    // Nobody heeds it.
    let maglev = [aware, ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &endpoint), ("BALANCE", "maglev")];
    let unheeded = setup.check(&[], &maglev);
    assert_eq!(verdict(&unheeded), "would serve: 0 failures, 1 warning");
    row(&unheeded, "warn", "variable ZONE_AWARE");
}

#[test]
fn targets_and_checks_that_disagree_on_the_proxy_protocol_are_told_apart_from_dead_ones() {
    let hangs_up = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let target = hangs_up.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for mut stream in hangs_up.incoming().map_while(Result::ok) {
            // All of it, or the close would be a reset.
            let (mut read, mut byte) = (Vec::new(), [0]);
            let is_whole = |it: &[u8]| it.ends_with(b"\r\n\r\n") && it.len() > 4;
            while !is_whole(&read) && stream.read(&mut byte).is_ok_and(|bytes| bytes == 1) {
                read.push(byte[0]);
            }
        }
    });
    let setup = Setup::of(&[target]);
    let told = |variables: &[(&str, &str)]| {
        let ended = setup.check(&[], variables);
        let detail = row(&ended, "FAIL", "target ").to_owned();
        assert!(detail.ends_with("connection closed before a whole answer"), "{detail}");
        row(&ended, "FAIL", "targets").to_owned()
    };
    for (variables, hint) in [
        (&[("PROXY_PROTOCOL", "v2")][..], "HEALTH_CHECK_PROXY_PROTOCOL=true"),
        (&[("HEALTH_CHECK_PROXY_PROTOCOL", "true")], "HEALTH_CHECK_PROXY_PROTOCOL=false"),
        (&[], "set PROXY_PROTOCOL, and"),
    ] {
        let row = told(variables);
        assert!(row.contains(hint), "{row}");
    }
    let (_port, dead) = nobody();
    let dead = Setup::of(&[dead]).check(&[], &[("PROXY_PROTOCOL", "v2")]);
    assert!(!row(&dead, "FAIL", "targets").contains("PROXY"), "{dead:?}");
}

fn check_file(content: &str) -> Ended {
    let scratch = Scratch::new();
    scratch.replace("targets.json", content);
    let path = scratch.path("targets.json");
    let path = path.to_str().expect("a plain name");
    Setup::of(&[]).check(&[], &[("NODE_FILTER", "file"), ("TARGETS_FILE", path)])
}

#[test]
fn targets_from_a_file_are_checked() {
    let backend = Backend::named("backend");
    let list =
        format!("[{{\"targets\": [\"{}\"], \"labels\": {{\"id\": \"i-1\"}}}}]", backend.address);
    let ended = check_file(&list);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(row(&ended, "ok", "discovery").ends_with("targets.json: 1 found"), "{ended:?}");
    assert!(row(&ended, "ok", "target").contains("i-1: answered in"), "{ended:?}");

    let empty = check_file("[]");
    assert_eq!(empty.code, Some(1), "{empty:?}");
    assert!(row(&empty, "FAIL", "discovery").ends_with("targets.json: 0 found"), "{empty:?}");

    let broken = check_file("[{");
    assert_eq!(broken.code, Some(1), "{broken:?}");
    assert!(row(&broken, "FAIL", "configuration").contains("is not valid"), "{broken:?}");
}

#[test]
fn limits_that_are_too_low_are_failures_and_low_ones_warnings() {
    let backend = Backend::named("backend");
    let with_files = |most: u32, variables: &[(&str, &str)]| {
        let mut shell = BINARY.shell(&format!("ulimit -n {most}; exec \"$0\" check"));
        shell
            .envs([("NODE_FILTER", "static".to_owned()), ("CORES", "1".to_owned())])
            .envs([("TARGETS", backend.address.to_string())])
            .envs(variables.iter().copied());
        end(&mut shell)
    };
    let ended = with_files(50, &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(row(&ended, "FAIL", "open files").contains("LimitNOFILE="), "{ended:?}");
    row(&ended, "ok", "targets");

    let few = with_files(1024, &[]);
    assert_eq!(few.code, Some(0), "{few:?}");
    assert!(row(&few, "warn", "open files").contains("room for only 4"), "{few:?}");
    // So few are meant.
    row(&with_files(1024, &[("MAX_CONNECTIONS", "100")]), "ok", "open files");
}

#[test]
fn json_says_what_the_table_says() {
    let backend = Backend::named("backend");
    let (_port, address) = nobody();
    let setup = Setup::of(&[backend.address, address]);
    for variables in [&[("TARGET_PORTS", "1")][..], &[("HOST", "192.0.2.1")], &[("PORT", "0")]] {
        let (table, json) = (setup.check(&[], variables), setup.check(&["--json"], variables));
        assert_eq!(table.code, json.code);
        let report: Value = serde_json::from_str(&json.stdout).expect("it is JSON");
        assert_eq!(report["would_serve"], table.code == Some(0));
        assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(report["iam_policy"], Value::Null);
        let word = if table.code == Some(0) { "would serve" } else { "would not serve" };
        let plural = |count: &Value| if count == 1 { "" } else { "s" };
        let (failures, warnings) = (&report["failures"], &report["warnings"]);
        assert_eq!(
            verdict(&table),
            format!(
                "{word}: {failures} failure{}, {warnings} warning{}",
                plural(failures),
                plural(warnings)
            )
        );
        let checks = report["checks"].as_array().expect("a list");
        let bad =
            checks.iter().find(|check| check["check"] == "configuration").expect("it is there");
        let is_bad = variables[0].0 == "PORT";
        assert_eq!(bad["subject"], if is_bad { "PORT".into() } else { Value::Null });
        let rows: Vec<_> = table.stdout.lines().take_while(|line| !line.is_empty()).collect();
        assert_eq!(checks.len(), rows.len(), "{report}\n{}", table.stdout);
        for (check, row) in checks.iter().zip(rows) {
            let status = match check["status"].as_str().expect("a text") {
                "ok" => "ok",
                "warning" => "warn",
                "failure" => "FAIL",
                other => panic!("{other} is no status"),
            };
            assert_eq!(&row[..4], format!("{status:4}"), "{check}\n{row}");
            assert!(check["check"].is_string(), "{check}");
            if let Some(subject) = check["subject"].as_str() {
                assert!(row.contains(subject), "{check}\n{row}");
            }
            // How long an answer took differs.
            let detail = check["detail"].as_str().expect("a text");
            let stable = detail.split(" in ").next().expect("there is a first");
            assert!(row.contains(stable), "{check}\n{row}");
        }
    }
}

#[test]
fn help_says_what_it_does() {
    let ended = end(BINARY.command().args(["check", "--help"]));
    assert_eq!(ended.code, Some(0));
    assert!(ended.stdout.contains("--json"), "{}", ended.stdout);
    assert!(ended.stdout.contains("Exit status: 0 if it would serve"), "{}", ended.stdout);
    let general = end(BINARY.command().arg("--help"));
    assert!(general.stdout.lines().any(|line| line.trim().starts_with("check ")), "{general:?}");
}
