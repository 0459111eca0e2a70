//! A provider's manners: whose machine it is, and when its owner comes first.
//!
//! The rules have the names that volunteers know from BOINC. [`Rules::judge`] is a pure function of
//! what is known of the machine; [`weather`] finds that out, several times a second, and the
//! threads that write answers look at its verdict between two steps.

pub(crate) mod weather;

use crate::config::Config;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// When the owner lets others use the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Also while somebody is at the keyboard.
    pub run_if_user_active: bool,
    /// How long nobody must have been at the keyboard.
    pub idle_time_to_run: Duration,
    /// Also without mains.
    pub run_on_batteries: bool,
    /// From this hour of the day (UTC).
    pub start_hour: u8,
    /// Up to this hour; the same hour means always.
    pub end_hour: u8,
    /// Per cent of the time that the engine may work.
    pub cpu_usage_limit: u8,
}

/// What is known of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Since when nobody was at the keyboard; `None` when that cannot be known here.
    pub idle: Option<Duration>,
    /// Whether it runs on batteries; `None` when it has none.
    pub on_batteries: Option<bool>,
    /// The hour of the day (UTC).
    pub hour: u8,
}

/// Why the machine is not lent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Somebody is at the keyboard.
    UserActive,
    /// It runs on batteries.
    OnBatteries,
    /// Outside of the hours.
    OutsideHours,
}

impl Reason {
    /// For people, and for the client that has to look elsewhere.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::UserActive => "the owner is using the machine",
            Self::OnBatteries => "the machine runs on batteries",
            Self::OutsideHours => "outside of the hours of this machine",
        }
    }
}

impl Rules {
    /// For one's own questions: nobody is in the way.
    pub const OWN: Self = Self {
        run_if_user_active: true,
        idle_time_to_run: Duration::ZERO,
        run_on_batteries: true,
        start_hour: 0,
        end_hour: 0,
        cpu_usage_limit: 100,
    };

    /// The rules of a configuration.
    #[must_use]
    pub const fn of(config: &Config) -> Self {
        Self {
            run_if_user_active: config.run_if_user_active,
            idle_time_to_run: Duration::from_secs(60 * config.idle_time_to_run as u64),
            run_on_batteries: config.run_on_batteries,
            start_hour: config.start_hour,
            end_hour: config.end_hour,
            cpu_usage_limit: config.cpu_usage_limit,
        }
    }

    /// Why the machine is not lent now, if it is not. What cannot be known forbids nothing.
    #[must_use]
    pub fn judge(&self, facts: &Facts) -> Option<Reason> {
        let active = facts.idle.is_some_and(|idle| idle < self.idle_time_to_run);
        if active && !self.run_if_user_active {
            return Some(Reason::UserActive);
        }
        if facts.on_batteries == Some(true) && !self.run_on_batteries {
            return Some(Reason::OnBatteries);
        }
        (!self.is_open_at(facts.hour)).then_some(Reason::OutsideHours)
    }

    /// From `start_hour` to `end_hour`, over midnight if need be.
    const fn is_open_at(&self, hour: u8) -> bool {
        let (start, end) = (self.start_hour, self.end_hour);
        if start <= end {
            start == end || (start <= hour && hour < end)
        } else {
            hour >= start || hour < end
        }
    }

    /// How long to rest after so much work, that the limit of use holds.
    fn rest_after(&self, work: Duration) -> Duration {
        let limit = u32::from(self.cpu_usage_limit.clamp(1, 100));
        work * (100 - limit) / limit
    }
}

impl Facts {
    /// What this machine can tell of itself now.
    #[must_use]
    pub fn of_this_machine() -> Self {
        weather::now()
    }

    /// For people.
    #[must_use]
    pub fn words(&self) -> String {
        let idle = self.idle.map_or("keyboard not visible".into(), |idle| {
            format!("keyboard idle for {} s", idle.as_secs())
        });
        let power = match self.on_batteries {
            None => "no battery",
            Some(true) => "on batteries",
            Some(false) => "on mains",
        };
        format!("{idle}, {power}, {} h UTC", self.hour)
    }
}

/// The verdict of the moment, and what the engine's threads do about it.
#[derive(Debug)]
pub struct Manners {
    rules: Rules,
    reason: Mutex<Option<Reason>>,
}

impl Manners {
    /// Manners by these rules; nothing is forbidden until something is known.
    #[must_use]
    pub fn new(rules: Rules) -> Arc<Self> {
        Arc::new(Self { rules, reason: Mutex::default() })
    }

    /// Judges the machine anew.
    pub fn learn(&self, facts: &Facts) {
        let reason = self.rules.judge(facts);
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    /// Why the machine is not lent now, if it is not.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Per cent of the time that the engine may work.
    #[must_use]
    pub fn share(&self) -> u8 {
        self.rules.cpu_usage_limit
    }

    /// How long to rest after so much work, that the limit of use holds.
    #[must_use]
    pub fn rest_after(&self, work: Duration) -> Duration {
        self.rules.rest_after(work)
    }
}

#[cfg(test)]
mod tests;
