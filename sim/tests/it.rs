//! Trials of the whole network: no answer is lost or changed, whatever goes wrong.

use mutirao_sim::trial::hold_many;

#[test]
fn a_hundred_trials_lose_and_change_no_token() {
    let trials = hold_many(1, 100).expect("trials");
    assert_eq!(trials.violations, []);
}
