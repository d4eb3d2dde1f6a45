//! Targets from a file that changes under the balancer's feet.
use crate::plane::{Plane, serve, settings};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use testkit::backend::HealthServer;
use testkit::wait::wait_for;

use control::discovery::{DiscoverySettings::File, FileSettings};

/// A target file that is removed with the test.
struct TargetFile(PathBuf);

impl TargetFile {
    fn new(name: &str, content: &str) -> Self {
        let name = format!("control-test-{}-{name}.json", std::process::id());
        let file = Self(std::env::temp_dir().join(name));
        file.write(content);
        file
    }

    fn write(&self, content: &str) {
        fs::write(&self.0, content).unwrap();
    }

    fn start(&self) -> Plane {
        let discovery = File(FileSettings {
            path: self.0.clone(),
            default_port: 80,
            is_port_given: false,
            own_address: "127.0.0.1:8080".parse().unwrap(),
        });
        Plane::start(settings(discovery, Duration::from_secs(5)))
    }
}

impl Drop for TargetFile {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

fn list(servers: &[(&HealthServer, &str)]) -> String {
    let groups = servers.iter().map(|(server, id)| {
        format!(
            "{{\"targets\": [\"{}\"], \"labels\": {{\"id\": \"{id}\", \"zone\": \"z\"}}}}",
            server.address
        )
    });
    format!("[{}]", groups.collect::<Vec<_>>().join(","))
}

fn failures(plane: &Plane, kind: &str) -> f64 {
    plane.metric(&format!("load_balancer_discovery_failures_total{{kind=\"{kind}\"}}")).unwrap()
}

#[test]
fn a_bad_file_keeps_the_last_good_targets() {
    let (one, two) = (serve(200), serve(200));
    let whole = list(&[(one, "i-1"), (two, "i-2")]);
    let file = TargetFile::new("bad", &list(&[(one, "i-1")]));
    let plane = file.start();
    plane.wait_for_states("healthy*");
    let generation = plane.status().generation();

    file.write(&whole[..whole.len() / 2]);
    wait_for("a failure: half-written", || failures(&plane, "invalid"), |n| *n >= 1.0);
    file.write(&whole.replace(&two.address.to_string(), "169.254.169.254"));
    wait_for("a failure: refused target", || failures(&plane, "refused"), |n| *n >= 1.0);
    fs::remove_file(&file.0).unwrap();
    wait_for("a failure: missing", || failures(&plane, "unreadable"), |n| *n >= 1.0);
    assert_eq!(plane.status().generation(), generation);
    assert_eq!(plane.states(), "healthy*");

    file.write(&whole);
    plane.wait_for_states("healthy* healthy*");
    assert!(plane.metric("load_balancer_discovery_age_seconds").unwrap() < 20.0);
}

#[test]
fn targets_drain_and_an_empty_list_is_believed() {
    let server = serve(200);
    let file = TargetFile::new("drain", &list(&[(server, "i-1")]));
    let plane = file.start();
    plane.wait_for_states("healthy*");
    let active = std::sync::Arc::clone(plane.snapshot().entries()[0].counters());
    active.on(0).active.increment();

    file.write("[]");
    plane.wait_for_states("draining");
    let targets = plane.get("/targets").1;
    let shown = "\"state\":\"draining\",\"reason\":\"left discovery\",\"checks\":null,\
                 \"check_failure\":null,\"active_connections\":1";
    assert!(targets.contains(shown), "{targets}");
    let series = format!("load_balancer_node_health_status{{node=\"{}\"}}", server.address);
    assert_eq!(plane.metric(&series), None);
    // Withdrawn targets are not checked any more: at most one check was under way.
    let probes = server.checks();
    file.write(&list(&[(server, "i-1")]));
    plane.wait_for_states("healthy*");
    assert!(server.checks() <= probes + 3, "{} of {probes}", server.checks());

    // The same address under another id is another target, which has to pass a check first.
    file.write(&list(&[(server, "i-2")]));
    plane.wait_for_states("draining healthy*");
    active.on(0).active.decrement();
    plane.wait_for_states("healthy*");
    assert_eq!(plane.snapshot().entries()[0].target().id.as_str(), "i-2");
}
