//! The balancer at work, with small targets of its own: `stateless-load-balancer demo`.

mod http;
mod keys;
mod screen;
mod stage;
mod target;
mod traffic;

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use control::Control;
use rustix::process::{Signal, getpid, kill_process};

use crate::config::variable::{self as var, Variable};
use crate::config::{Config, Environment};
use crate::exit::Failure;
use crate::sockets::reachable;
use crate::{logging, run};
use keys::Keys;
use stage::Stage;
use target::Target;
use traffic::Traffic;

/// Where the targets listen, if it is free.
const TARGET_PORT: u16 = 30080;

/// Where the demo takes commands, if it is free.
const COMMAND_PORT: u16 = 9902;

/// Runs the demo until a signal ends it.
///
/// # Errors
/// Why it did not start.
pub(crate) fn run(environment: Environment) -> Result<(), Failure> {
    let listeners: Vec<_> = (11..=14)
        .map(|last| listen(Ipv4Addr::new(127, 0, 0, last).into(), TARGET_PORT))
        .collect::<Result<_, _>>()?;
    let targets: Vec<_> = listeners
        .iter()
        .zip(1..)
        .map(|(listener, number)| Ok(Arc::new(Target::new(number, listener.local_addr()?))))
        .collect::<io::Result<_>>()
        .map_err(|error| Failure::other(&error))?;
    let commands = listen(Ipv4Addr::LOCALHOST.into(), COMMAND_PORT)?;
    let command_address = commands.local_addr().map_err(|error| Failure::other(&error))?;

    let config = Config::parse(demo_environment(environment, &targets))
        .map_err(|error| Failure::config(&error))?;
    logging::start(config.log_format, &config.log_filter);
    let balancer = reachable(config.listen);
    let stage = Arc::new(Stage { targets, traffic: Arc::new(Traffic::new(balancer)) });
    let admin = config.admin;
    run::balance(config, |control| {
        if let Err(error) = stage.start(listeners, commands) {
            log::error!("the demo's targets do not start: {error}");
        }
        introduce(balancer, admin, command_address);
        interact(&stage, control)
    })
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
    environment.set(var::NODE_FILTER, "static");
    environment.set(var::TARGETS, &list.join(","));
    environment.set_default(var::HOST, "127.0.0.1");
    environment.set_default(var::HEALTH_CHECK_PERIOD, "500ms");
    environment.set_default(var::HEALTH_CHECK_TIMEOUT, "500ms");
    environment.set_default(var::SHUTDOWN_TIMEOUT, "2s");
    environment.set_default(var::RUST_LOG, "warn");
    make_free(&mut environment, var::HOST, "127.0.0.1", var::PORT, 8080);
    make_free(&mut environment, var::ADMIN_HOST, "127.0.0.1", var::ADMIN_PORT, 9901);
    environment
}

/// Puts a free port in place of one that is taken. What cannot be parsed is left to the parser.
fn make_free(
    environment: &mut Environment,
    host: Variable,
    default_host: &str,
    port: Variable,
    default_port: u16,
) {
    let host = environment.get(host).unwrap_or(default_host).trim_matches(['[', ']']).parse();
    let wanted = environment.get(port).map_or(Ok(default_port), str::parse);
    let (Ok(host), Ok(wanted)) = (host, wanted) else { return };
    let probe = TcpListener::bind(SocketAddr::new(host, wanted));
    // Whatever else is wrong is better said when the balancer itself binds.
    if !probe.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse) {
        return;
    }
    let free = TcpListener::bind(SocketAddr::new(host, 0)).and_then(|probe| probe.local_addr());
    if let Ok(free) = free {
        say(&format!("{} {wanted} is taken: this time it is {}.\n", port.name, free.port()));
        environment.set(port, &free.port().to_string());
    }
}

fn introduce(balancer: SocketAddr, admin: Option<SocketAddr>, commands: SocketAddr) {
    let mut tries = vec![(format!("curl http://{balancer}/"), "again and again: who answers?")];
    if let Some(admin) = admin.map(reachable) {
        tries.push((format!("curl http://{admin}/targets"), "what the balancer knows"));
        tries.push((format!("curl http://{admin}/metrics"), "what Prometheus would see"));
    }
    let command = |path| format!("curl -X POST http://{commands}/{path}");
    tries.push((command("targets/2/kill"), "or press 2"));
    tries.push((command("targets/2/revive"), "or press 2 again"));
    tries.push((command("traffic"), "or press t: a dozen clients come, or go"));

    let mut text =
        "\nFour targets, one balancer before them. In another terminal, try:\n\n".to_owned();
    for (line, comment) in tries {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {line:<56} # {comment}");
    }
    say(&format!("{text}\nCtrl-C ends it.\n\n"));
}

/// Shows the counts and takes keys, until what it returns is dropped.
fn interact(stage: &Arc<Stage>, control: &Control) -> Option<Keys> {
    let in_place = io::stdout().is_terminal();
    tokio::spawn(screen::show(Arc::clone(stage), control.snapshots(), in_place));
    let stage = Arc::clone(stage);
    Keys::read(move |key| match key {
        b'1'..=b'9' => stage.toggle(usize::from(key - b'0')),
        b't' => drop(stage.traffic.toggle()),
        // Fails for no process that is allowed to exist.
        b'q' => drop(kill_process(getpid(), Signal::INT).ok()),
        _ => {}
    })
}

/// Prints to standard output, if anybody reads it.
fn say(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
}
