use std::net::SocketAddr;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use control::Control;
use control::status::Statuses;
use dataplane::{CoreSetup, DataPlane};
use exchange::{CoreCounters, Publisher, Reports};
use tokio::sync::watch;

use super::shutdown::{self, ForcedExit};
use crate::config::{Config, ConfigError};
use crate::exit::Failure;
use crate::preflight;
use crate::signals::{EndSignal, Received, Signals};
use crate::sockets::{AdminSocket, Sockets, client_problem};
use crate::systemd::{Origin, Supervisor};

/// What a service manager allows for the end beyond the longest that it takes, as on a busy machine.
const MARGIN: Duration = Duration::from_secs(4);

/// Both planes, running.
pub(super) struct Balancer {
    pub(super) control: Control,
    /// `None` once somebody waits for it.
    dataplane: Option<DataPlane>,
    counters: Arc<[CoreCounters]>,
    /// Where clients connect, by service, and the CPUs that serve them.
    addresses: Vec<SocketAddr>,
    cpus: Vec<usize>,
    is_listening: watch::Sender<bool>,
    shutdown_timeout: Duration,
    supervisor: Supervisor,
}

impl Balancer {
    /// Binds every socket, starts the cores and the control plane, then listens; with `OVERLAP` the
    /// other process serves until there is a target.
    pub(super) fn start(config: Config, origin: Origin) -> Result<Self, Failure> {
        let Origin { supervision, inherited } = origin;
        let inherited = inherited.map(|inherited| inherited.listeners).unwrap_or_default();
        // A socket from outside listens already.
        let listens_later = config.overlap && inherited.is_empty();
        let sockets = Sockets::bind(&config, &inherited);
        let sockets = sockets.map_err(|error| Failure::config(&error))?;
        log::info!(
            "{} {} starts, process {}",
            env!("CARGO_PKG_NAME"),
            env!("CARGO_PKG_VERSION"),
            process::id()
        );
        let (count, services) = (config.cpus.len(), config.listen.len());
        let (publisher, subscribers) =
            exchange::broadcast(count, services).map_err(|error| Failure::other(&error))?;
        let (reporters, reports) =
            exchange::reports(count).map_err(|error| Failure::other(&error))?;
        let counters: Arc<[CoreCounters]> =
            (0..count).map(|_| CoreCounters::new(services)).collect();
        let cores = config.cpus.iter().zip(sockets.listeners).zip(subscribers).zip(reporters);
        let cores = cores
            .map(|(((&cpu, listeners), subscribers), reporter)| CoreSetup {
                cpu,
                listeners,
                subscribers,
                reporter,
            })
            .collect();
        let dataplane = DataPlane::start(&config.dataplane, cores, &counters)
            .map_err(|error| Failure::other(&preflight::explain(&error)))?;
        dataplane.run();
        let (addresses, cpus) = (config.listen.clone(), config.cpus.clone());
        let shutdown_timeout = config.dataplane.shutdown_timeout;
        let control =
            start_control(config, sockets.admin, publisher, reports, Arc::clone(&counters))?;
        let (is_listening, listens) = watch::channel(false);
        let statuses = control.statuses();
        let supervisor = Supervisor::start(&supervision, statuses, listens, Arc::clone(&counters));
        let mut balancer = Self {
            control,
            dataplane: Some(dataplane),
            counters,
            addresses,
            cpus,
            is_listening,
            shutdown_timeout,
            supervisor,
        };
        if listens_later {
            log::info!(
                "clients of {} are left to others until there is a target (OVERLAP)",
                balancer.places()
            );
        } else {
            balancer.listen()?;
        }
        Ok(balancer)
    }

    /// Has clients connect; they wait until the control plane lets them in.
    fn listen(&mut self) -> Result<(), Failure> {
        let Some(dataplane) = &mut self.dataplane else { return Ok(()) };
        dataplane.listen().map_err(|error| {
            // Which of them it is, nobody says.
            let problems = self.addresses.iter().map(|address| client_problem(*address, &error));
            Failure::config(&ConfigError(problems.collect()))
        })?;
        log::info!("accepting clients on {}, CPUs {:?}", self.places(), self.cpus);
        self.control.set_accepting(true);
        self.is_listening.send_replace(true);
        Ok(())
    }

    /// Where clients connect, for people.
    fn places(&self) -> String {
        let addresses: Vec<_> = self.addresses.iter().map(ToString::to_string).collect();
        addresses.join(", ")
    }

    /// Returns when the graceful end is over, or with what cuts it short.
    pub(super) async fn run_until_signal(
        &mut self,
        signals: &mut Signals,
        shutdown_delay: Duration,
    ) -> Result<Option<ForcedExit>, Failure> {
        let first = self.serve(signals).await?;
        log::info!("{}: graceful end begins, /readyz is 503", first.name());
        self.control.set_accepting(false);
        let cores = shutdown::longest(self.shutdown_timeout);
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
            second = shutdown::second_end(signals, first) => Ok(Some(ForcedExit::Signal(second))),
        }
    }

    /// Serves until a signal begins the end. Listens first, once a target may get clients, where that
    /// was left for later.
    async fn serve(&mut self, signals: &mut Signals) -> Result<EndSignal, Failure> {
        if !*self.is_listening.borrow() {
            let mut statuses = self.control.statuses();
            tokio::select! {
                first = self.first_end(signals) => return Ok(first),
                _ = statuses.wait_for(Statuses::are_ready) => {}
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
    async fn end(&mut self, shutdown_delay: Duration) -> Result<u64, ForcedExit> {
        if !shutdown_delay.is_zero() {
            log::info!("clients are accepted for another {shutdown_delay:?} (SHUTDOWN_DELAY)");
            tokio::time::sleep(shutdown_delay).await;
        }
        let Some(dataplane) = self.dataplane.take() else { return Ok(0) };
        shutdown::end(dataplane, &self.counters, self.shutdown_timeout).await
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
