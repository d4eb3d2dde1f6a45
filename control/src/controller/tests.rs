use std::time::Duration;

use exchange::Target;

use super::*;
use crate::policy::breaker;
use crate::policy::roster::Rules;
use crate::policy::settings::PolicySettings;

fn rules() -> Rules {
    Rules {
        rise: 1,
        fall: 1,
        check_port: Some(81),
        warmup_max: Duration::from_secs(2),
        cores: 1,
        policy: PolicySettings {
            fail_open_threshold: 0,
            breaker: breaker::BreakerSettings { threshold: 2, timeout: Duration::from_secs(10) },
            drain_timeout: Duration::from_mins(5),
            reset_unhealthy: false,
            slow_start: Duration::ZERO,
            rebalance_rate: 0,
            affinity: false,
        },
    }
}

/// A controller with nothing to do, its queue, and what it publishes.
fn idle_controller(
    publisher: Publisher,
) -> (Controller, mpsc::Sender<Event>, mpsc::Receiver<Event>) {
    let (events, queue) = mpsc::channel(EVENT_QUEUE);
    let metrics = Arc::new(Metrics::new([].into(), Vec::new()));
    let settings = crate::health::HealthSettings {
        period: Duration::from_hours(1),
        path: "/".parse().unwrap(),
        timeout: Duration::from_secs(5),
        port: None,
        proxy_header: None,
        status: "200".parse().unwrap(),
        rise: 1,
        fall: 1,
    };
    let controller = Controller {
        roster: Roster::new(rules()),
        prober: Prober::new(&settings, 8, Arc::clone(&metrics), events.clone()),
        reconnector: Reconnector {
            connect_timeout: Duration::from_secs(2),
            proxy_header: None,
            events: events.clone(),
        },
        tables: None,
        events: events.clone(),
        publisher,
        statuses: watch::Sender::new(Arc::default()),
        metrics,
        due: None,
        jitter: Jitter::new(),
    };
    (controller, events, queue)
}

#[tokio::test]
async fn what_has_come_by_the_time_of_a_snapshot_is_in_it() {
    const COUNT: u16 = 300;
    let (controller, events, queue) = idle_controller(exchange::broadcast(1).unwrap().0);
    let mut statuses = controller.statuses.subscribe();
    for count in 1..=COUNT {
        let targets = (1..=count).map(|port| Target::at(([127, 0, 0, 1], port).into())).collect();
        events.try_send(Event::Discovered(targets)).unwrap();
    }
    let running = tokio::spawn(controller.run(queue));
    let all = statuses.wait_for(|status| status.targets().len() == usize::from(COUNT));
    let generation = all.await.unwrap().generation().number();
    assert!(generation <= u64::from(COUNT / 10), "{generation} snapshots");
    running.abort();
}

#[test]
fn another_reason_is_news_to_operators_and_not_to_the_cores() {
    let (publisher, cores) = exchange::broadcast(1).unwrap();
    let (mut controller, _events, _queue) = idle_controller(publisher);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let target = Target::at(([127, 0, 0, 1], 80).into());
    let identity = crate::policy::identity::Identity::of(&target);
    let fail = |controller: &mut Controller, reason: &str| {
        controller.roster.checked(&identity, Err(reason), now());
        controller.publish();
        let status = Arc::clone(&controller.statuses.borrow());
        (status.targets()[0].reason().map(str::to_owned), status.snapshot().generation())
    };
    controller.handle(Event::Discovered(vec![target]));
    let (reason, generation) = fail(&mut controller, "status 503");
    assert_eq!(reason.as_deref(), Some("status 503"));
    assert_eq!(cores[0].latest().unwrap().generation(), generation);

    let (reason, same) = fail(&mut controller, "timed out");
    assert_eq!((reason.as_deref(), same), (Some("timed out"), generation));
    assert!(cores[0].latest().is_none(), "they route as before");
}
