//! Whose machine it is.

use super::*;
use proptest::prelude::*;

const OPEN: Rules = Rules { idle_time_to_run: Duration::from_secs(180), ..Rules::OWN };
const QUIET: Facts = Facts { idle: None, on_batteries: None, hour: 12 };

fn idle(seconds: u64) -> Facts {
    Facts { idle: Some(Duration::from_secs(seconds)), ..QUIET }
}

#[test]
fn the_person_at_the_keyboard_comes_first_if_the_owner_says_so() {
    let polite = Rules { run_if_user_active: false, ..OPEN };
    assert_eq!(polite.judge(&idle(179)), Some(Reason::UserActive));
    assert_eq!(polite.judge(&idle(180)), None);
    assert_eq!(polite.judge(&QUIET), None, "what cannot be known forbids nothing");
    assert_eq!(OPEN.judge(&idle(0)), None);
}

#[test]
fn batteries_are_spared_unless_the_owner_allows() {
    let spared = Rules { run_on_batteries: false, ..OPEN };
    for (on_batteries, expected) in
        [(Some(true), Some(Reason::OnBatteries)), (Some(false), None), (None, None)]
    {
        assert_eq!(spared.judge(&Facts { on_batteries, ..QUIET }), expected);
        assert_eq!(OPEN.judge(&Facts { on_batteries, ..QUIET }), None);
    }
}

proptest! {
    #[test]
    fn hours_are_a_span_of_the_clock_that_may_pass_midnight(
        start_hour in 0_u8..24, end_hour in 0_u8..24, hour in 0_u8..24,
    ) {
        let rules = Rules { start_hour, end_hour, ..OPEN };
        let span = (24 + end_hour - start_hour) % 24;
        let since = (24 + hour - start_hour) % 24;
        let open = span == 0 || since < span;
        prop_assert_eq!(rules.judge(&Facts { hour, ..QUIET }).is_none(), open);
    }

    #[test]
    fn rest_and_work_are_in_the_proportion_of_the_limit(limit in 1_u8..=100, work in 0_u32..5000) {
        let rules = Rules { cpu_usage_limit: limit, ..OPEN };
        let work = Duration::from_millis(work.into());
        let whole = work + rules.rest_after(work);
        let used = whole * u32::from(limit) / 100;
        let gap = used.max(work) - used.min(work);
        prop_assert!(gap < Duration::from_millis(1), "{gap:?}");
    }
}

#[test]
fn between_two_steps_the_owner_is_noticed_and_forgotten_again() {
    let manners = Manners::new(Rules { run_if_user_active: false, ..OPEN });
    assert_eq!(manners.reason(), None, "nothing is known yet");
    manners.learn(&idle(0));
    assert_eq!(manners.reason(), Some(Reason::UserActive));
    manners.learn(&idle(999));
    assert_eq!(manners.reason(), None);
}
