use std::time::Duration;

use exchange::Target;

use crate::host::Condition::{Dead, Deaf, Flapping, Frozen, Gone, Sick, Well};
use crate::host::{Condition, Host};
use crate::rules::Setting;
use crate::world::{Event, World};

/// What happens to hosts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Weather {
    /// One turns bad.
    Turn,
    /// All, or most, turn bad together.
    Storm,
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
    use Weather::{Order, Replace, Scale, Storm, Swap, Turn};
    for weather in [Turn, Storm, Replace, Swap, Scale, Order] {
        note(world, weather);
    }
}

pub(crate) fn happen(world: &mut World, weather: Weather) {
    let now = world.agenda.now();
    match weather {
        Weather::Turn => {
            let index = world.rng.usize(..world.hosts.len());
            let condition = any_bad(world);
            let lasts = lasting(&mut world.rng);
            turn(world, index, condition, lasts);
        }
        Weather::Storm => {
            let condition = any_bad(world);
            let lasts = lasting(&mut world.rng);
            let percent = [100, 100, 60][world.rng.usize(..3)];
            for index in 0..world.hosts.len() {
                if world.rng.u32(..100) < percent {
                    turn(world, index, condition, lasts);
                }
            }
        }
        Weather::Recover(index) => return world.hosts[index].turn(Well, now),
        Weather::Replace => {
            let index = world.rng.usize(..world.hosts.len());
            if !world.hosts[index].has_bad_thirds() {
                world.hosts[index].replace(now);
                // It boots.
                let lasts = lasting(&mut world.rng);
                turn(world, index, Dead, lasts);
            }
        }
        Weather::Swap => {
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
        Weather::Scale => {
            let index = world.rng.usize(..world.hosts.len());
            let host: &mut Host = &mut world.hosts[index];
            host.is_listed = host.has_bad_thirds() || !host.is_listed;
        }
        Weather::Order => {
            let index = world.rng.usize(..world.hosts.len());
            let wants_drain = world.rng.bool();
            world.order(&world.hosts[index].target().id, wants_drain);
        }
    }
    note(world, weather);
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
fn note(world: &mut World, weather: Weather) {
    let mean_s = match weather {
        Weather::Turn => 60,
        Weather::Storm => 1200,
        Weather::Swap => 400,
        Weather::Replace | Weather::Scale | Weather::Order => 300,
        Weather::Recover(_) => return,
    };
    let after = Duration::from_millis(world.rng.u64(..2000 * mean_s));
    world.agenda.after(after, Event::Weather(weather));
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
    world.agenda.after(lasts, Event::Weather(Weather::Recover(index)));
}
