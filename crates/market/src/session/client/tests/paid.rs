//! Who is paid what, and that nothing is paid twice, for nothing, or beyond a cap.

use super::*;

/// Tokens of a long answer.
const LONG: u32 = 60;

/// What each provider got in all.
fn earned(payments: &[Payment]) -> Vec<(u8, u64)> {
    let party = |key| (1..=9).find(|party| peer(*party) == key).expect("a party");
    payments.iter().map(|payment| (party(payment.provider), payment.paid.0)).collect()
}

/// Reading the prompt, and what that many prefix and written tokens cost.
fn cost(prefix: u64, written: u64) -> u64 {
    7 + (prefix * 5).div_ceil(2) + written * 5
}

// spec: SESSION-7.2
#[test]
fn each_provider_is_paid_for_exactly_its_part_though_it_dies() {
    let job = job(LONG);
    let stage = Stage::play(&job, STREAMED, &[Manner::Dies(20), Manner::Dies(50), Manner::Honest]);
    stage.is_right(&job);
    // Sixteen of twenty tokens were signed, and thirty-two of the next thirty.
    let rest = u64::from(LONG) - 50;
    let wanted = [(1, cost(0, 16)), (2, cost(20, 16)), (3, cost(50, rest))];
    assert_eq!(earned(&stage.outcome().payments), wanted);
    let price = stage.outcome().receipt.receipt.price;
    assert_eq!(price, Amount(cost(50, rest)));
    let spent: u64 = stage.outcome().payments.iter().map(|payment| payment.paid.0).sum();
    let mut last = BTreeMap::new();
    stage.paid.iter().for_each(|(attempt, paid)| {
        last.insert(*attempt, paid.0);
    });
    assert_eq!(last.values().sum::<u64>(), spent, "the vouchers say the same");
}

// spec: SESSION-7.5
#[test]
fn whatever_the_cap_no_more_than_it_is_spent() {
    let job = job(LONG);
    let whole = cost(0, LONG.into());
    for cap in 0..whole + 90 {
        let policy = Policy { cap: Amount(cap), ..policy(STREAMED) };
        let mut stage = Stage::new(&job, policy, &[Manner::Dies(20), Manner::Honest]);
        stage.run();
        let spent = stage.client.spent().0
            + match &stage.outcome {
                Some(Ok(outcome)) => outcome.payments.iter().map(|it| it.paid.0).sum::<u64>(),
                _ => 0,
            };
        assert!(spent <= cap, "{spent} of {cap}");
        let enough = cost(0, 16) + cost(20, u64::from(LONG) - 20);
        assert_eq!(stage.outcome.as_ref().is_some_and(Result::is_ok), cap >= enough, "{cap}");
    }
}

// spec: SESSION-7.1, SESSION-7.5
#[test]
fn who_cannot_be_paid_is_not_asked_and_the_error_says_why() {
    let job = job(LONG);
    let mut policy = policy(STREAMED);
    policy.means = BTreeMap::from([(peer(2), Means { left: Amount(11), ..means(2) })]);
    let mut stage = Stage::new(&job, policy, &[Manner::Honest, Manner::Honest]);
    stage.run();
    assert!(stage.opened.is_empty());
    let SessionError::NobodyLeft { tried } = stage.error() else { panic!("{:?}", stage.error()) };
    assert!(tried[0].1.contains("no channel leads to it"), "{tried:?}");
    assert!(tried[1].1.contains("a first token costs 0.000012 TJ; 0.000011 TJ"), "{tried:?}");
}

// spec: SESSION-7.6
#[test]
fn a_voucher_that_cannot_be_drawn_leaves_the_provider_without_blame() {
    let job = job(LONG);
    let mut stage = Stage::new(&job, policy(STREAMED), &[Manner::Honest, Manner::Honest]);
    stage.stuck = Some(Attempt(0));
    stage.run();
    stage.is_right(&job);
    assert!(stage.left.is_empty(), "{:?}", stage.left);
    assert_eq!(earned(&stage.outcome().payments)[0], (1, 0));
}

// spec: SESSION-7.2
#[test]
fn a_checking_client_pays_a_liar_for_nothing_that_replay_did_not_confirm() {
    let job = job(LONG);
    let stage = Stage::play(&job, Mode::Checked, &[Manner::Lies(20), Manner::Honest]);
    stage.is_right(&job);
    assert_eq!(earned(&stage.outcome().payments)[0], (1, cost(0, 16)));
    assert!(stage.left[0].2, "it lied");
}

// spec: SESSION-7.2
#[test]
fn who_announces_more_than_there_is_to_read_is_left_unpaid() {
    let (job, bend): (_, Bend) = (job(LONG), |frame| {
        if let ProviderFrame::Progress { done, .. } = frame {
            *done += 1;
        }
    });
    let stage = Stage::play(&job, STREAMED, &[Manner::Bends(1, bend), Manner::Honest]);
    stage.is_right(&job);
    assert!(stage.left[0].1.contains("beyond what there is to read"), "{:?}", stage.left);
    assert_eq!(earned(&stage.outcome().payments)[0].0, 2);
}
