use std::time::Duration;

use exchange::Target;

use crate::host::Condition::{Dead, Deaf, Flapping, Frozen, Gone, Sick, Well};
use crate::host::{Condition, Host};
use crate::rules::Setting;
use crate::world::{Event, World};

/// What happens to hosts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// One turns bad.
    Transition,
    /// All, or most, turn bad together.
    Outage,
    /// One recovers.
    Recover(usize),
    /// One is given up, and another instance gets its address.
    Replace,
    /// All are given up, and other instances get their addresses.
    Swap,
    /// One leaves, or comes back.
    Scale,
    /// An operator wants one to drain, or no longer.
    Order,
}

/// The last one only where checks go to another port.
const BAD: [Condition; 6] = [Dead, Gone, Frozen, Sick, Flapping, Deaf];

/// Notes the first of all that will happen.
pub(crate) fn start(world: &mut World) {
    use Fault::{Order, Outage, Replace, Scale, Swap, Transition};
    for fault in [Transition, Outage, Replace, Swap, Scale, Order] {
        note(world, fault);
    }
}

pub(crate) fn happen(world: &mut World, fault: Fault) {
    let now = world.agenda.now();
    match fault {
        Fault::Transition => {
            let index = world.rng.usize(..world.hosts.len());
            let condition = any_bad(world);
            let lasts = lasting(&mut world.rng);
            turn(world, index, condition, lasts);
        }
        Fault::Outage => {
            let condition = any_bad(world);
            let lasts = lasting(&mut world.rng);
            let percent = [100, 100, 60][world.rng.usize(..3)];
            for index in 0..world.hosts.len() {
                if world.rng.u32(..100) < percent {
                    turn(world, index, condition, lasts);
                }
            }
        }
        Fault::Recover(index) => return world.hosts[index].turn(Well, now),
        Fault::Replace => {
            let index = world.rng.usize(..world.hosts.len());
            if !world.hosts[index].has_bad_thirds() {
                world.hosts[index].replace(now);
                // It boots.
                let lasts = lasting(&mut world.rng);
                turn(world, index, Dead, lasts);
            }
        }
        Fault::Swap => {
            for index in 0..world.hosts.len() {
                if world.hosts[index].has_bad_thirds() {
                    continue;
                }
                world.hosts[index].replace(now);
                // Most are there already.
                if world.rng.u32(..4) == 0 {
                    let condition = any_bad(world);
                    let lasts = lasting(&mut world.rng);
                    turn(world, index, condition, lasts);
                }
            }
        }
        Fault::Scale => {
            let index = world.rng.usize(..world.hosts.len());
            let host: &mut Host = &mut world.hosts[index];
            host.is_listed = host.has_bad_thirds() || !host.is_listed;
        }
        Fault::Order => {
            let index = world.rng.usize(..world.hosts.len());
            let wants_drain = world.rng.bool();
            world.order(&world.hosts[index].target().id, wants_drain);
        }
    }
    note(world, fault);
}

/// What discovery answers while these targets are the truth; none when it fails. What it makes up is
/// what it takes for true, having heard it often enough.
pub(crate) fn answer(
    mut listed: Vec<Target>,
    setting: &Setting,
    rng: &mut fastrand::Rng,
) -> Option<Vec<Target>> {
    if !setting.has_faults {
        return Some(listed);
    }
    match rng.u32(..200) {
        0..20 => return None,
        20 => listed.clear(),
        21..24 => listed.retain(|_| rng.bool()),
        _ => rng.shuffle(&mut listed),
    }
    Some(listed)
}

/// Notes when the like will happen again.
fn note(world: &mut World, fault: Fault) {
    let mean_s = match fault {
        Fault::Transition => 60,
        Fault::Outage => 1200,
        Fault::Swap => 400,
        Fault::Replace | Fault::Scale | Fault::Order => 300,
        Fault::Recover(_) => return,
    };
    let after = Duration::from_millis(world.rng.u64(..2000 * mean_s));
    world.agenda.after(after, Event::Fault(fault));
}

fn any_bad(world: &mut World) -> Condition {
    let count = if world.setting.is_checked_apart() { BAD.len() } else { BAD.len() - 1 };
    BAD[world.rng.usize(..count)]
}

fn lasting(rng: &mut fastrand::Rng) -> Duration {
    let longest_s = [3, 30, 600][rng.usize(..3)];
    Duration::from_millis(rng.u64(..1000 * longest_s))
}

fn turn(world: &mut World, index: usize, condition: Condition, lasts: Duration) {
    let now = world.agenda.now();
    if world.hosts[index].has_bad_thirds() {
        return;
    }
    world.hosts[index].turn(condition, now);
    world.agenda.after(lasts, Event::Fault(Fault::Recover(index)));
}
