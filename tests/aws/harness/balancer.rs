use std::net::SocketAddr;

use super::fleet::Instance;
use super::wait_until;
use crate::support::balancer::Balancer as Spawned;

/// The binary under test.
pub(crate) struct Balancer(Spawned);

/// A target as `/targets` shows it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) id: String,
    pub(crate) address: String,
    pub(crate) zone: String,
    pub(crate) state: String,
}

impl Balancer {
    /// Starts it; what is not in `variables` has its default, apart from ports.
    pub(crate) fn spawn(variables: &[(&str, String)]) -> Self {
        // What is set to nothing counts as unset.
        let mut all = vec![("NODE_FILTER", ""), ("TARGETS", ""), ("HEALTH_CHECK_PERIOD", "")];
        all.extend(variables.iter().map(|(name, value)| (*name, value.as_str())));
        Self(Spawned::spawn(&[], &all))
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        self.0.process.stderr()
    }

    pub(crate) fn wait_for_log(&self, text: &str) {
        self.0.wait_for_log(text);
    }

    pub(crate) fn targets(&self) -> Vec<Target> {
        let Some(answer) = self.0.get("/targets") else { return Vec::new() };
        let view: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        let target = |target: &serde_json::Value| {
            let text = |name: &str| target[name].as_str().unwrap_or_default().to_owned();
            Target {
                id: text("id"),
                address: text("address"),
                zone: text("zone"),
                state: text("state"),
            }
        };
        view["targets"].as_array().unwrap().iter().map(target).collect()
    }

    /// The state of an instance; `None` where it is no target.
    pub(crate) fn state(&self, instance: &Instance) -> Option<String> {
        let mut targets = self.targets().into_iter();
        targets.find(|target| target.id == instance.id).map(|target| target.state)
    }

    #[track_caller]
    pub(crate) fn wait_for_state(&self, instance: &Instance, state: &str) {
        wait_until(&format!("{instance:?} is {state}"), || {
            self.state(instance).as_deref() == Some(state)
        });
    }

    /// Waits until exactly these are healthy.
    #[track_caller]
    pub(crate) fn wait_for_healthy(&self, instances: &[Instance]) {
        let mut ids: Vec<_> = instances.iter().map(|instance| instance.id.clone()).collect();
        ids.sort();
        wait_until(&format!("{ids:?} are healthy"), || self.healthy() == ids);
    }

    /// The ids of the healthy targets.
    pub(crate) fn healthy(&self) -> Vec<String> {
        let healthy = self.targets().into_iter().filter(|target| target.state == "healthy");
        let mut ids: Vec<_> = healthy.map(|target| target.id).collect();
        ids.sort();
        ids
    }

    /// The status of an answer of the admin server.
    pub(crate) fn status(&self, path: &str) -> Option<u16> {
        self.0.get(path).map(|answer| answer.status)
    }

    /// The value of a series; `name` is without `load_balancer_`.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str) -> f64 {
        self.0.metric(name)
    }

    /// Waits until `count` more refreshes ended like this.
    #[track_caller]
    pub(crate) fn wait_for_refreshes(&self, outcome: &str, count: u32) {
        let series = format!("discovery_refreshes_total{{outcome=\"{outcome}\"}}");
        let enough = self.metric(&series) + f64::from(count);
        wait_until(&format!("{count} refreshes end as {outcome}"), || {
            self.metric(&series) >= enough
        });
    }
}
