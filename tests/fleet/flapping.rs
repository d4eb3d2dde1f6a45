//! How often a target changes its state whose checks fail independently of each other.

use std::time::Instant;

use control::policy::{Identity, Roster};
use control::status::TargetState;
use exchange::Target;

use crate::rules::{FALL, RISE, Setting};

/// Checks per change of state, in the long run, by the theory of runs: it takes
/// (1 - p^k) / (q p^k) trials on average until k in a row have succeeded that each do so with
/// probability p = 1 - q (Feller, "An Introduction to Probability Theory", volume I, XIII.7). A cycle
/// is a run of FALL failures and then one of RISE passes.
fn theoretical_rate(failing: f64) -> f64 {
    let until_run = |p: f64, length: u32| {
        let run = p.powi(length.cast_signed());
        (1.0 - run) / ((1.0 - p) * run)
    };
    2.0 / (until_run(failing, FALL) + until_run(1.0 - failing, RISE))
}

/// The same as measured with the control plane's own policy.
fn measured_rate(failing: f64, checks: u32, seed: u64) -> f64 {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut roster = Roster::new(Setting::calm().rules());
    let now = Instant::now();
    let target = Target::at(([10, 0, 0, 1], 80).into());
    let identity = Identity::of(&target);
    roster.discovered(vec![target], now);
    roster.checked(&identity, Ok(()), now);
    let mut state = TargetState::Healthy;
    let mut changes = 0;
    for _ in 0..checks {
        let result = if rng.f64() < failing { Err("a reason") } else { Ok(()) };
        roster.checked(&identity, result, now);
        let now = roster.status(now).targets()[0].state();
        changes += u32::from(now != state);
        state = now;
    }
    f64::from(changes) / f64::from(checks)
}

#[test]
fn independent_failures_change_a_targets_state_as_often_as_theory_says() {
    for failing in [0.1, 1.0 / 3.0, 0.5] {
        let theory = theoretical_rate(failing);
        let measured = measured_rate(failing, 1_000_000, 1);
        println!("failing {failing:.3}: {measured:.5} changes a check, {theory:.5} in theory");
        assert!((measured / theory - 1.0).abs() < 0.05, "{failing}: {measured} {theory}");
    }
    let third = theoretical_rate(1.0 / 3.0);
    assert!((third - 2.0 / 42.75).abs() < 1e-9, "39 checks and 3.75: {third}");
}
