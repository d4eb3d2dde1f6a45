//! Starts the two planes in order, and ends them in order.

use std::net::SocketAddr;
use std::process;
use std::sync::Arc;
use std::time::{Duration, Instant};

use control::Control;
use dataplane::{Core, DataPlane};
use exchange::{CoreCounters, Publisher, Reports};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{oneshot, watch};

use crate::config::{Config, ConfigError, Environment, Misspelt, ParsedValues, Problem, Refused};
use crate::exit::{self, Failure};
use crate::signals::{EndSignal, Hangup, Received, Signals};
use crate::sockets::{AdminSocket, Sockets, client_problem};
use crate::systemd::{Inherited, Supervision, Supervisor};
use crate::{logging, preflight};

/// Health checks are shallow calls: the default of 2 MiB per thread would only cost address space.
const BLOCKING_STACK_BYTES: usize = 256 * 1024;

/// A signal that comes again within this time was meant once: a terminal and a wrapper may both pass
/// it on.
const REPEAT: Duration = Duration::from_millis(200);

/// How much longer than `SHUTDOWN_TIMEOUT` the cores may take to reset what is left, and end. It is
/// they who heed that timeout: one that is stuck must not keep the process for ever.
const CORES_END_TIMEOUT: Duration = Duration::from_secs(5);

/// A core whose loop does not turn for so long stands still.
const STILL: Duration = Duration::from_secs(1);

/// What a service manager allows for the end beyond the longest that it takes, as on a busy machine.
const MARGIN: Duration = Duration::from_secs(4);

/// Balances as `environment` says, until a signal ends it.
///
/// # Errors
/// Why it did not start.
pub(crate) fn run(environment: Environment) -> Result<(), Failure> {
    let (origin, mut problems) = Origin::of_process();
    let described = match &origin.inherited {
        Some(inherited) => inherited.describe(environment),
        None => Ok((environment, None)),
    };
    let (environment, ignored) = described.unwrap_or_else(|(environment, error)| {
        problems.extend(error.0);
        (environment, None)
    });
    let config = parse(environment, &origin, problems)
        .map_err(|error| Failure::config(&error).with_misspelt())?;
    logging::start(config.log_format, &config.log_filter);
    let misspelt = Misspelt::of_process().into_iter().map(|misspelt| misspelt.to_string());
    let idle = config.without_effect.iter().map(ToString::to_string);
    let doubts = config.doubts.iter().map(ToString::to_string);
    for line in misspelt.chain(idle).chain(doubts).chain(ignored) {
        log::warn!("{line}");
    }
    balance(config, origin, Hangup::Reloads, |_| ())
}

/// Who has started the process, and with what.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    supervision: Supervision,
    inherited: Option<Inherited>,
}

impl Origin {
    /// That of this process, and what is wrong with it.
    fn of_process() -> (Self, Vec<Problem>) {
        let (supervision, mut problems) = match Supervision::of_process() {
            Ok(supervision) => (supervision, Vec::new()),
            Err(error) => (Supervision::default(), error.0),
        };
        let inherited = Inherited::of(&supervision).unwrap_or_else(|error| {
            problems.extend(error.0);
            None
        });
        (Self { supervision, inherited }, problems)
    }
}

/// The configuration, or all that is wrong with it beside these `problems`, which are of `origin`.
fn parse(
    environment: Environment,
    origin: &Origin,
    mut problems: Vec<Problem>,
) -> Result<Config, ConfigError> {
    // Whether a socket was passed that cannot be used, is then not values.
    let binds = origin.inherited.is_none() && problems.is_empty();
    let refused = match Config::parse(environment) {
        Ok(config) if problems.is_empty() => return Ok(config),
        Ok(config) => Refused { problems: Vec::new(), values: config.values() },
        Err(refused) => *refused,
    };
    let listen = refused.values.listen.filter(|_| binds);
    let values = ParsedValues { listen, ..refused.values };
    problems.extend(preflight::all_wrong(Refused { values, ..refused }).0);
    Err(ConfigError(problems))
}

/// Balances as `config` says, until a signal ends it. Once clients are accepted, `companion` is
/// called inside the runtime; what it returns is dropped before the process ends, however it does.
///
/// # Errors
/// Why it did not start.
pub(crate) fn balance<C>(
    mut config: Config,
    origin: Origin,
    hangup: Hangup,
    companion: impl FnOnce(&Control) -> C,
) -> Result<(), Failure> {
    let capacity = preflight::check(config.cpus.len()).map_err(|error| Failure::other(&error))?;
    config.dataplane.connections_max = capacity.connections_max;
    config.control.probes_max = capacity.probes_max;
    let problems = preflight::host_problems(&ParsedValues {
        listen: origin.inherited.is_none().then_some(config.listen),
        ..config.values()
    });
    if !problems.is_empty() {
        return Err(Failure::config(&ConfigError(problems)));
    }
    let (level, line) = capacity.line(config.dataplane.limits.connections);
    log::log!(level, "{line}");
    if origin.inherited.is_none()
        && let Some(line) = preflight::short_backlog(config.dataplane.listen_backlog)
    {
        log::warn!("{line}");
    }
    let runtime = runtime().map_err(|error| Failure::other(&error))?;
    let ended = runtime.block_on(async {
        let mut signals = Signals::new(hangup).map_err(|error| Failure::other(&error))?;
        let shutdown_delay = config.shutdown_delay;
        let mut balancer = Balancer::start(config, origin)?;
        let companion = companion(&balancer.control);
        let cut = balancer.run_until_signal(&mut signals, shutdown_delay).await;
        drop(companion);
        cut?.map_or(Ok(()), |cut| end_at_once(&cut))
    });
    // Health checks may block for as long as their timeout: nobody waits for them.
    runtime.shutdown_background();
    ended
}

/// The runtime of the control plane.
pub(crate) fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(control::MAX_BLOCKING_THREADS)
        .thread_stack_size(BLOCKING_STACK_BYTES)
        .build()
}

/// Both planes, running.
struct Balancer {
    control: Control,
    /// `None` once somebody waits for it.
    dataplane: Option<DataPlane>,
    counters: Arc<[CoreCounters]>,
    /// Where clients connect, and the CPUs that serve them.
    address: SocketAddr,
    cpus: Vec<usize>,
    is_listening: watch::Sender<bool>,
    shutdown_timeout: Duration,
    supervisor: Supervisor,
}

impl Balancer {
    /// Binds every socket, starts the cores and the control plane, then listens; with `OVERLAP` the
    /// other process serves until there is a target.
    fn start(config: Config, origin: Origin) -> Result<Self, Failure> {
        let Origin { supervision, inherited } = origin;
        let listener = inherited.map(|inherited| inherited.listener);
        // A socket from outside listens already.
        let listens_later = config.overlap && listener.is_none();
        let sockets =
            Sockets::bind(&config, listener.as_ref()).map_err(|error| Failure::config(&error))?;
        log::info!(
            "{} {} starts, process {}",
            env!("CARGO_PKG_NAME"),
            env!("CARGO_PKG_VERSION"),
            process::id()
        );
        let count = config.cpus.len();
        let (publisher, subscribers) =
            exchange::broadcast(count).map_err(|error| Failure::other(&error))?;
        let (reporters, reports) =
            exchange::reports(count).map_err(|error| Failure::other(&error))?;
        let counters: Arc<[CoreCounters]> = (0..count).map(|_| CoreCounters::default()).collect();
        let cores = config.cpus.iter().zip(sockets.listeners).zip(subscribers).zip(reporters);
        let cores = cores
            .map(|(((&cpu, listener), subscriber), reporter)| Core {
                cpu,
                listener,
                subscriber,
                reporter,
            })
            .collect();
        let dataplane = DataPlane::start(&config.dataplane, cores, &counters)
            .map_err(|error| Failure::other(&preflight::explain(&error)))?;
        dataplane.run();
        let (address, cpus) = (config.listen, config.cpus.clone());
        let shutdown_timeout = config.dataplane.shutdown_timeout;
        let control =
            start_control(config, sockets.admin, publisher, reports, Arc::clone(&counters))?;
        let (is_listening, listens) = watch::channel(false);
        let snapshots = control.snapshots();
        let supervisor = Supervisor::start(&supervision, snapshots, listens, Arc::clone(&counters));
        let mut balancer = Self {
            control,
            dataplane: Some(dataplane),
            counters,
            address,
            cpus,
            is_listening,
            shutdown_timeout,
            supervisor,
        };
        if listens_later {
            log::info!("clients of {address} are left to others until there is a target (OVERLAP)");
        } else {
            balancer.listen()?;
        }
        Ok(balancer)
    }

    /// Has clients connect; they wait until the control plane lets them in.
    fn listen(&mut self) -> Result<(), Failure> {
        let Some(dataplane) = &mut self.dataplane else { return Ok(()) };
        dataplane.listen().map_err(|error| {
            Failure::config(&ConfigError(vec![client_problem(self.address, &error)]))
        })?;
        log::info!("accepting clients on {}, CPUs {:?}", self.address, self.cpus);
        self.control.set_accepting(true);
        self.is_listening.send_replace(true);
        Ok(())
    }

    /// Returns when the graceful end is over, or with what cuts it short.
    async fn run_until_signal(
        &mut self,
        signals: &mut Signals,
        shutdown_delay: Duration,
    ) -> Result<Option<Cut>, Failure> {
        let first = self.serve(signals).await?;
        log::info!("{}: graceful end begins, /readyz is 503", first.name());
        self.control.set_accepting(false);
        let cores = self.shutdown_timeout + CORES_END_TIMEOUT + STILL;
        self.supervisor.stopping(shutdown_delay + cores + MARGIN);
        tokio::select! {
            ended = self.end(shutdown_delay) => {
                match ended {
                    Err(stuck) => return Ok(Some(stuck)),
                    Ok(0) => log::info!("ended"),
                    Ok(reset) => log::warn!(
                        "ended: {reset} connections were still open after SHUTDOWN_TIMEOUT and \
                         were reset"
                    ),
                }
                Ok(None)
            }
            second = second_end(signals, first) => Ok(Some(Cut::Signal(second))),
        }
    }

    /// Serves until a signal begins the end. Listens first, once a target may get clients, where that
    /// was left for later.
    async fn serve(&mut self, signals: &mut Signals) -> Result<EndSignal, Failure> {
        if !*self.is_listening.borrow() {
            let mut snapshots = self.control.snapshots();
            tokio::select! {
                first = self.first_end(signals) => return Ok(first),
                _ = snapshots.wait_for(|snapshot| snapshot.eligible().next().is_some()) => {}
            }
            self.listen()?;
        }
        Ok(self.first_end(signals).await)
    }

    /// Obeys the signals until one ends the process.
    async fn first_end(&self, signals: &mut Signals) -> EndSignal {
        loop {
            match signals.next().await {
                Received::End(signal) => return signal,
                Received::Reload if self.control.refresh() => {
                    log::info!("SIGHUP: the target file is read now");
                }
                Received::Reload => log::warn!(
                    "SIGHUP: there is nothing to reload; a change of the environment needs a new \
                     process"
                ),
                Received::Meaningless(name) => log::warn!("{name} has no meaning here: ignored"),
            }
        }
    }

    /// Returns how many connections had to be reset.
    async fn end(&mut self, shutdown_delay: Duration) -> Result<u64, Cut> {
        if !shutdown_delay.is_zero() {
            log::info!("clients are accepted for another {shutdown_delay:?} (SHUTDOWN_DELAY)");
            tokio::time::sleep(shutdown_delay).await;
        }
        let Some(dataplane) = self.dataplane.take() else { return Ok(0) };
        let open: u64 = self.counters.iter().map(|core| core.connections.active.get()).sum();
        log::info!(
            "no client is accepted any more; {open} open connections may go on for {:?} \
             (SHUTDOWN_TIMEOUT)",
            self.shutdown_timeout
        );
        dataplane.stop_accepting();
        let (tell, joined) = oneshot::channel();
        let join = move || {
            // Nobody listens only if the process is ending anyway.
            let _ = tell.send(dataplane.join());
        };
        match std::thread::Builder::new().name("join".to_owned()).spawn(join) {
            Ok(_) => {
                let timeout = self.shutdown_timeout + CORES_END_TIMEOUT;
                match tokio::time::timeout(timeout, joined).await {
                    // An error would mean that the thread panicked, which ends the process.
                    Ok(joined) => Ok(joined.unwrap_or_default()),
                    Err(_) => Err(self.stuck().await),
                }
            }
            Err(error) => {
                log::error!("open connections are cut: no thread to wait on: {error}");
                Ok(open)
            }
        }
    }

    /// Cores wait for each other in the end: whose fault it is, only standing still tells.
    async fn stuck(&self) -> Cut {
        let turns: Vec<_> = self.counters.iter().map(|core| core.iterations.get()).collect();
        tokio::time::sleep(STILL).await;
        let cores = self.counters.iter().zip(turns).enumerate();
        let still = cores
            .filter(|(_, (core, turns))| core.ended.get() == 0 && core.iterations.get() == *turns);
        Cut::Stuck(still.map(|(number, _)| number).collect())
    }
}

/// Why the process ends without waiting for its cores.
enum Cut {
    /// The second one.
    Signal(EndSignal),
    /// The cores have not ended in time; the numbers of those that stand still.
    Stuck(Vec<usize>),
}

/// Waits for the signal that cuts the graceful end short. `first` is the one that began it.
async fn second_end(signals: &mut Signals, first: EndSignal) -> EndSignal {
    let began = Instant::now();
    loop {
        if let Received::End(signal) = signals.next().await
            && (signal != first || began.elapsed() >= REPEAT)
        {
            return signal;
        }
    }
}

fn start_control(
    config: Config,
    admin: Option<AdminSocket>,
    publisher: Publisher,
    reports: Reports,
    counters: Arc<[CoreCounters]>,
) -> Result<Control, Failure> {
    let admin = admin.map(AdminSocket::listen).transpose();
    let admin = admin.map_err(|error| Failure::config(&error))?;
    if let Some(address) = config.admin {
        log::info!("admin server on http://{address}");
    }
    Control::start(config.control, publisher, reports, counters, admin)
        .map_err(|error| Failure::other(&error))
}

fn end_at_once(cut: &Cut) -> ! {
    match cut {
        Cut::Signal(signal) => {
            log::warn!("{}: second signal, open connections are cut", signal.name());
            process::exit(signal.exit_code())
        }
        Cut::Stuck(cores) => {
            log::error!(
                "the cores have not ended {CORES_END_TIMEOUT:?} after SHUTDOWN_TIMEOUT (standing \
                 still: {cores:?}): open connections are cut"
            );
            process::exit(exit::STUCK.into())
        }
    }
}
