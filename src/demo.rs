//! The balancer at work, with small targets of its own: `stateless-load-balancer demo`.

mod canvas;
mod drain;
mod http;
mod keys;
mod narrator;
mod painter;
mod screen;
mod stage;
mod target;
mod traffic;

use std::io::{self, IsTerminal};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use control::status::{Statuses, TargetStatus};
use rustix::process::{Signal, getpid, kill_process};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::table::{self as var, Variable};
use crate::config::{Config, Environment};
use crate::exit::Failure;
use crate::signals::Hangup;
use crate::sockets::reachable;
use crate::systemd::Origin;
use crate::{logging, preflight, run};
use keys::Keys;
use painter::{LogLines, Painter, say};
use stage::Stage;
use target::Target;
use traffic::Traffic;

/// Where the targets listen, if it is free.
const TARGET_PORT: u16 = 30080;

/// Where the demo takes commands, if it is free.
const COMMAND_PORT: u16 = 9902;

/// Cores, unless `CORES` says otherwise: a user without privileges may not lock memory for many.
const CORES_MAX: usize = 2;

/// How long the balancer accepts clients when it is to end: so long they need to notice.
const SHUTDOWN_DELAY: &str = "300ms";

/// What is logged: what goes wrong, and what the demo has to say of it.
const LOG_FILTER: &str = "warn,demo=info";

/// Runs the demo until a signal ends it.
///
/// # Errors
/// Why it did not start.
pub(crate) fn run(environment: Environment) -> Result<(), Failure> {
    let listeners = target_listeners()?;
    let targets: Vec<_> = listeners
        .iter()
        .zip(1..)
        .map(|(listener, number)| Ok(Arc::new(Target::new(number, listener.local_addr()?))))
        .collect::<io::Result<_>>()
        .map_err(|error| Failure::other(&error))?;
    let commands = listen(Ipv4Addr::LOCALHOST.into(), COMMAND_PORT)?;
    let command_address = commands.local_addr().map_err(|error| Failure::other(&error))?;

    let cores_are_chosen = environment.get(&var::CORES).is_some();
    let mut config = Config::parse(&demo_environment(environment, &targets))
        .map_err(|refused| Failure::config(&preflight::all_wrong(*refused)).with_misspelt())?;
    if !cores_are_chosen {
        config.cpus.truncate(CORES_MAX);
    }
    let painter = io::stdout().is_terminal().then(Arc::<Painter>::default);
    // Log lines that go elsewhere are in nobody's way.
    match painter.as_ref().filter(|_| io::stderr().is_terminal()) {
        Some(painter) => {
            let lines = Box::new(LogLines(Arc::clone(painter)));
            logging::start_to(lines, config.log_format, &config.log_filter);
        }
        None => logging::start(config.log_format, &config.log_filter),
    }
    let balancer = reachable(config.listen[0]);
    let stage = Arc::new(Stage {
        targets,
        traffic: Arc::new(Traffic::new(balancer)),
        admin: config.admin.map(reachable),
        is_choosing: AtomicBool::new(false),
    });
    let shown = Arc::clone(&stage);
    run::balance(config, Origin::default(), Hangup::Ends, move |control| {
        if let Err(error) = shown.start(listeners, commands) {
            log::error!("the demo's targets do not start: {error}");
        }
        let keys = keys(&shown, control.statuses(), painter.clone());
        let welcome = welcome(balancer, shown.admin, command_address, keys.is_some());
        match &painter {
            Some(painter) => painter.write(&welcome),
            None => say(&welcome),
        }
        tokio::spawn(end_traffic(Arc::clone(&shown.traffic)));
        tokio::spawn(screen::show(shown, control.statuses(), painter, keys.is_some()));
        keys
    })?;
    say(&screen::totals(&stage));
    Ok(())
}

/// Lets the clients go before the balancer does, which accepts for another [`SHUTDOWN_DELAY`].
async fn end_traffic(traffic: Arc<Traffic>) {
    let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let mut waits = JoinSet::new();
    for mut signal in signals.into_iter().filter_map(|kind| signal(kind).ok()) {
        waits.spawn(async move { signal.recv().await });
    }
    waits.join_next().await;
    traffic.end();
}

/// Listeners of the targets, on [`TARGET_PORT`] if it is free for all of them: what is free for one
/// may be the port of another demo's target that is killed, and to be revived.
fn target_listeners() -> Result<Vec<TcpListener>, Failure> {
    let addresses = || (11..=14).map(|last| Ipv4Addr::new(127, 0, 0, last));
    let of_choice: Result<_, _> =
        addresses().map(|address| TcpListener::bind((address, TARGET_PORT))).collect();
    of_choice.or_else(|_| addresses().map(|address| listen(address.into(), 0)).collect())
}

/// A listener on `port`, or on any free port if that is taken.
fn listen(address: IpAddr, port: u16) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind((address, port)).or_else(|_| TcpListener::bind((address, 0)));
    listener
        .map_err(|error| Failure::other(&format!("the demo cannot listen on {address}: {error}")))
}

/// The user's environment, made to fit the demo: its targets, quick checks, a quick end, and ports
/// that are free.
fn demo_environment(mut environment: Environment, targets: &[Arc<Target>]) -> Environment {
    let list: Vec<_> = targets.iter().map(|target| target.address.to_string()).collect();
    environment.set(&var::NODE_FILTER, "static");
    environment.set(&var::TARGETS, &list.join(","));
    environment.set_default(&var::HOST, "127.0.0.1");
    environment.set_default(&var::HEALTH_CHECK_PERIOD, "500ms");
    environment.set_default(&var::HEALTH_CHECK_TIMEOUT, "500ms");
    environment.set_default(&var::SHUTDOWN_TIMEOUT, "2s");
    environment.set_default(&var::SHUTDOWN_DELAY, SHUTDOWN_DELAY);
    environment.set_default(&var::RUST_LOG, LOG_FILTER);
    make_client_port_free(&mut environment);
    make_admin_port_free(&mut environment);
    environment
}

/// Puts a free port in place of the one of clients if that is taken. There is one service: the targets
/// are those of the demo. What cannot be parsed is left to the parser.
fn make_client_port_free(environment: &mut Environment) {
    let Ok(ports) = (var::PORT.parse)(environment.get(&var::PORT)) else { return };
    let wanted = ports.services()[0].port;
    let free = free_port(environment, &var::HOST, wanted);
    if let Some(free) = free {
        say(&format!("PORT {wanted} is taken: this time it is {free}.\n"));
    }
    environment.set(&var::PORT, &free.unwrap_or(wanted).to_string());
}

/// The same for the admin server's.
fn make_admin_port_free(environment: &mut Environment) {
    let Ok(wanted) = (var::ADMIN_PORT.parse)(environment.get(&var::ADMIN_PORT)) else { return };
    if let Some(free) = free_port(environment, &var::ADMIN_HOST, wanted) {
        say(&format!("ADMIN_PORT {wanted} is taken: this time it is {free}.\n"));
        environment.set(&var::ADMIN_PORT, &free.to_string());
    }
}

/// A free port, if the one that is wanted is taken.
fn free_port(environment: &Environment, host: &Variable<IpAddr>, wanted: u16) -> Option<u16> {
    let host = (host.parse)(environment.get(host)).ok()?;
    let probe = TcpListener::bind(SocketAddr::new(host, wanted));
    // Whatever else is wrong is better said when the balancer itself binds.
    if !probe.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse) {
        return None;
    }
    let free = TcpListener::bind(SocketAddr::new(host, 0)).and_then(|probe| probe.local_addr());
    free.ok().map(|free| free.port())
}

/// Columns of a line that holds an address of the usual length.
const COLUMNS: usize = 79;

fn welcome(
    balancer: SocketAddr,
    admin: Option<SocketAddr>,
    commands: SocketAddr,
    has_keys: bool,
) -> String {
    let mut tries = vec![(format!("curl http://{balancer}/"), "who answers?")];
    if let Some(admin) = admin.map(reachable) {
        tries.push((format!("curl http://{admin}/targets"), "what it knows"));
        tries.push((format!("curl http://{admin}/metrics"), "for Prometheus"));
    }
    let command = |path| format!("curl -X POST http://{commands}/{path}");
    let key = |text| if has_keys { text } else { "" };
    tries.push((command("targets/2/kill"), key("or press 2")));
    tries.push((command("targets/2/revive"), key("or press 2 again")));
    tries.push((command("targets/2/drain"), key("or press d, then 2")));
    tries.push((command("traffic"), key("or press t")));

    let mut text =
        "\nFour targets, one balancer before them. In another terminal, try:\n\n".to_owned();
    for (line, comment) in tries {
        let full = format!("  {line:<54} # {comment}");
        let fits = !comment.is_empty() && full.chars().count() <= COLUMNS;
        text.extend([if fits { full } else { format!("  {line}") }.as_str(), "\n"]);
    }
    text.push_str("\nThe last one lets a dozen clients come, or go. Ctrl-C ends it.\n\n");
    text
}

/// Takes keys until what it returns is dropped; `None` without a terminal.
fn keys(
    stage: &Arc<Stage>,
    statuses: watch::Receiver<Statuses>,
    painter: Option<Arc<Painter>>,
) -> Option<Keys> {
    let stage = Arc::clone(stage);
    let is_draining = move |address| {
        let statuses = statuses.borrow();
        let targets = statuses.iter().flat_map(|status| status.targets());
        let mut called = targets.filter(|it| it.target().address == address);
        called.any(TargetStatus::is_draining)
    };
    let pressed = move |key| {
        stage.press(key, &is_draining);
        if key == b'q' {
            // Fails for no process that is allowed to exist.
            let _ = kill_process(getpid(), Signal::INT);
        }
    };
    Keys::read(pressed, move || {
        if let Some(painter) = &painter {
            painter.forget();
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_welcome_fits_into_79_columns() {
        let wide = |text: &str| text.lines().any(|line| line.chars().count() > COLUMNS);
        for (has_keys, port) in [(false, 8080), (true, 65535)] {
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            let text = welcome(address, Some(address), address, has_keys);
            assert!(!wide(&text), "{text}");
            assert_eq!(text.contains("press"), has_keys, "{text}");
            let long = SocketAddr::from(([0xfdff_u16; 8], port));
            assert!(!wide(&welcome(long, Some(long), address, has_keys)));
        }
    }
}
