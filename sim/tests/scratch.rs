//! scratch
use mutirao_sim::{mind::Minds, trial::hold};
#[test]
fn look() {
    let minds = Minds::new().expect("m");
    for (seed, ask) in [(79u64, 3usize), (105, 3), (737, 0), (821, 0)] {
        let t = hold(seed, &minds, None).expect("t");
        let a = &t.record.asks[ask];
        println!(
            "== {seed} mode {:?} wish {:?} truth {} {:?} lies {:?}",
            a.plan.mode,
            a.plan.wish,
            a.plan.truth.len(),
            a.plan.end,
            t.record.lies
        );
        println!(
            "shown {:?}",
            a.shown.iter().map(|s| (s.at, s.index, s.token.0)).collect::<Vec<_>>()
        );
        println!("truth {:?}", a.plan.truth.iter().map(|t| t.0).collect::<Vec<_>>());
        for l in &a.left {
            println!(
                "left {} {} lied {} ev {}",
                l.provider.short(),
                l.why,
                l.lied,
                l.evidence.is_some()
            );
        }
        for e in &a.endings {
            println!("{:?}", e);
        }
    }
}
