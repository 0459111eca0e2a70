//! Holds the books of a trial against one another: who told what, who drew what, who holds what.

use crate::plan::Purse;
use crate::record::{Account, Ending, TrialRecord};
use mutirao_wire::{Amount, ChannelId};

/// What must not have happened to anybody's money, and in which answer it did.
pub(super) fn wrongs(trial: &TrialRecord) -> Vec<(Option<usize>, String)> {
    let mut found: Vec<(Option<usize>, String)> = Vec::new();
    for account in trial.accounts.values() {
        found.extend(attempt(account).map(|what| (Some(account.ask), what)));
    }
    found.extend(trial.channels.iter().filter_map(channel).map(|what| (None, what)));
    found.extend(sums(trial).map(|what| (None, what)));
    for (number, ask) in trial.asks.iter().enumerate() {
        let said = match ask.endings.first() {
            Some(Ending::Done(outcome)) => Some(outcome.payments.iter().map(|it| it.paid.0).sum()),
            _ => None,
        };
        let honest = ask.plan.purse == Purse::Honest;
        let wrong = said.filter(|said: &u64| honest && *said != drawn_for(trial, number));
        found.extend(wrong.map(|said| (Some(number), format!("{said} is said to be paid"))));
    }
    found
}

/// Neither side risks more than a step.
// spec: SESSION-7.2, SESSION-7.3, SESSION-7.4
fn attempt(account: &Account) -> Option<String> {
    let Account { step, ceiling, announced, drawn, redeemed, exposed, .. } = *account;
    let who = account.provider.short();
    let wrongs = [
        (exposed > step, format!("{who} told {exposed} unpaid, a step is {step}")),
        (drawn > announced, format!("{drawn} was drawn for {who}, {announced} was announced")),
        (drawn > ceiling, format!("{drawn} was drawn for {who} below a ceiling of {ceiling}")),
        (redeemed > drawn, format!("{who} redeemed {redeemed} of {drawn}")),
    ];
    wrongs.into_iter().find_map(|(wrong, what)| wrong.then_some(what))
}

/// Nobody holds a voucher for more than was drawn.
fn channel((id, (drawn, best)): (&ChannelId, &(u64, u64))) -> Option<String> {
    (best > drawn).then(|| format!("channel {} holds {best} of {drawn}", id.0))
}

fn drawn_for(trial: &TrialRecord, ask: usize) -> u64 {
    trial.accounts.values().filter(|account| account.ask == ask).map(|it| it.drawn.0).sum()
}

/// The channels together hold what the attempts together drew and redeemed, with at most one step
/// of each attempt on its way for ever.
fn sums(trial: &TrialRecord) -> Option<String> {
    let (drawn, best) = trial
        .channels
        .values()
        .fold((0, 0), |(drawn, best), channel| (drawn + channel.0, best + channel.1));
    let sum = |of: fn(&Account) -> Amount| -> u64 {
        trial.accounts.values().map(|account| of(account).0).sum()
    };
    let (attempts, redeemed) = (sum(|account| account.drawn), sum(|account| account.redeemed));
    if attempts != drawn {
        return Some(format!("{drawn} was drawn from channels, {attempts} for answers"));
    }
    let lost = |account: &Account| account.drawn.saturating_sub(account.redeemed);
    if let Some(account) = trial.accounts.values().find(|account| lost(account) > account.step) {
        let who = account.provider.short();
        return Some(format!("{who} lost {} of {}", account.redeemed, account.drawn));
    }
    let fits = redeemed <= best && best <= drawn;
    (!fits).then(|| format!("{redeemed} was redeemed, vouchers for {best} are held"))
}
