use std::time::Duration;

use exchange::{Report, Target};

use super::*;
use crate::health::prober::{Prober, Slots};
use crate::policy::roster::Rules;
use crate::policy::settings::PolicySettings;
use crate::policy::{Identity, Roster, breaker};
use crate::status::Status;

fn rules() -> Rules {
    Rules {
        rise: 1,
        fall: 1,
        has_checks: true,
        check_port: Some(81),
        warmup_max: Duration::from_secs(2),
        cores: 1,
        affinity: false,
        policy: PolicySettings {
            fail_open_threshold: 0,
            breaker: breaker::BreakerSettings { threshold: 2, timeout: Duration::from_secs(10) },
            drain_timeout: Duration::from_mins(5),
            reset_unhealthy: false,
            slow_start: Duration::ZERO,
            rebalance_rate: 0,
        },
    }
}

/// A controller of one service with nothing to do, its queue, and what it publishes.
fn idle_controller(
    publisher: Publisher,
) -> (Controller, mpsc::Sender<Event>, mpsc::Receiver<Event>) {
    controller_of(publisher, &[None])
}

/// One of services with targets at these ports, whose targets are checked together.
fn controller_of(
    publisher: Publisher,
    services: &[Option<u16>],
) -> (Controller, mpsc::Sender<Event>, mpsc::Receiver<Event>) {
    let (events, queue) = mpsc::channel(EVENT_QUEUE);
    let metrics = Arc::new(Metrics::new([].into(), vec![None; services.len()], Vec::new()));
    let settings = crate::health::HealthSettings {
        protocol: crate::health::CheckProtocol::Http,
        host: None,
        body: None,
        period: Duration::from_hours(1),
        path: "/".parse().unwrap(),
        timeout: Duration::from_secs(5),
        port: None,
        proxy_header: None,
        status: "200".parse().unwrap(),
        rise: 1,
        fall: 1,
    };
    let service = |(index, port): (_, &Option<u16>)| Service {
        index,
        port: *port,
        target_port: *port,
        roster: Roster::new(rules()),
        tables: None,
        status: Arc::default(),
    };
    let controller = Controller {
        services: ServiceIndex::first(services.len()).zip(services).map(service).collect(),
        checks: vec![CheckGroup::new(
            Prober::new(0, &settings, Slots::new(8), Arc::clone(&metrics), events.clone()),
            ServiceIndex::first(services.len()).collect(),
        )],
        reconnector: Reconnector {
            connect_timeout: Duration::from_secs(2),
            proxy_headers: vec![None; services.len()],
            events: events.clone(),
        },
        events: events.clone(),
        publisher,
        statuses: watch::Sender::new(Statuses::default()),
        metrics,
        due: None,
        jitter: Jitter::new(),
    };
    (controller, events, queue)
}

/// The status of the only service.
fn only(statuses: &Statuses) -> Arc<Status> {
    Arc::clone(&statuses.services()[0].status)
}

#[tokio::test]
async fn what_has_come_by_the_time_of_a_snapshot_is_in_it() {
    const COUNT: u16 = 300;
    let (controller, events, queue) = idle_controller(exchange::broadcast(1, 1).unwrap().0);
    let mut statuses = controller.statuses.subscribe();
    for count in 1..=COUNT {
        let targets = (1..=count).map(|port| Target::at(([127, 0, 0, 1], port).into())).collect();
        events.try_send(Event::Discovered(targets)).unwrap();
    }
    let running = tokio::spawn(controller.run(queue));
    let is_all = |status: &Arc<Status>| status.targets().len() == usize::from(COUNT);
    let all = statuses.wait_for(|statuses| statuses.iter().any(is_all));
    let generation = only(&all.await.unwrap()).generation().number();
    assert!(generation <= u64::from(COUNT / 10), "{generation} snapshots");
    running.abort();
}

#[test]
fn another_reason_is_news_to_operators_and_not_to_the_cores() {
    let (publisher, cores) = exchange::broadcast(1, 1).unwrap();
    let (mut controller, _events, _queue) = idle_controller(publisher);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let target = Target::at(([127, 0, 0, 1], 80).into());
    let identity = Identity::of(&target);
    let fail = |controller: &mut Controller, reason: &str| {
        controller.services[0].roster.checked(&identity, Err(reason), now());
        controller.publish();
        let status = only(&controller.statuses.borrow());
        (status.targets()[0].reason().map(str::to_owned), status.snapshot().generation())
    };
    controller.handle(Event::Discovered(vec![target]));
    let (reason, generation) = fail(&mut controller, "status 503");
    assert_eq!(reason.as_deref(), Some("status 503"));
    assert_eq!(cores[0][0].latest().unwrap().generation(), generation);

    let (reason, same) = fail(&mut controller, "timed out");
    assert_eq!((reason.as_deref(), same), (Some("timed out"), generation));
    assert!(cores[0][0].latest().is_none(), "they route as before");
}

/// How many targets of each service clients may be led to.
fn eligible(controller: &Controller) -> Vec<usize> {
    controller.statuses.borrow().iter().map(|status| status.eligible().count()).collect()
}

#[test]
fn one_check_is_for_all_services_and_one_drain_takes_the_instance_out_of_all() {
    let (publisher, _cores) = exchange::broadcast(1, 2).unwrap();
    let (mut controller, _events, _queue) = controller_of(publisher, &[Some(80), Some(443)]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let targets = [1, 2].map(|n| Target::at(([10, 0, 0, n], 1).into()));
    controller.handle(Event::Discovered(targets.to_vec()));
    for target in &targets {
        let target = Identity::of(&target.clone().at_port(80));
        let checked = Checked { group: 0, target, began: now(), result: Ok(()) };
        controller.handle(Event::Checked(checked));
    }
    controller.publish();
    assert_eq!(eligible(&controller), [2, 2]);

    let report = Report {
        service: ServiceIndex::new(1),
        target: Arc::new(targets[0].clone().at_port(443)),
        count: 2,
        successes: 0,
        error: std::io::ErrorKind::ConnectionRefused,
    };
    controller.handle(Event::Reported(vec![report]));
    controller.publish();
    assert_eq!(eligible(&controller), [2, 1], "breakers are each service's own");

    // By its id, by its address in one service, and by one that is in none.
    for (name, action, expected) in [
        ("10.0.0.2", DrainAction::Drain, Some([1, 1])),
        ("10.0.0.2", DrainAction::Undrain, Some([2, 1])),
        ("10.0.0.2:443", DrainAction::Drain, Some([1, 1])),
        ("10.0.0.2:80", DrainAction::Undrain, Some([2, 1])),
        ("10.0.0.3", DrainAction::Drain, None),
    ] {
        let (reply, mut answer) = tokio::sync::oneshot::channel();
        let name = exchange::TargetId::new(name);
        let command = AdminCommand { name, action, reply };
        controller.handle(Event::Commanded(command));
        assert_eq!(answer.try_recv().unwrap().is_some(), expected.is_some());
        if let Some(expected) = expected {
            // Who is undrained is fit at once: it was checked all the time.
            assert_eq!(eligible(&controller), expected, "{action:?}");
        }
    }
}
