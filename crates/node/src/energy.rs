//! What answers take from the socket, in joules: counted by the processor where it can be read,
//! else from a figure that the owner configured, else not at all.
//!
//! Linux has the processor's own counters (RAPL) under `sys/class/powercap` (source: the kernel's
//! `Documentation/power/powercap/powercap.rst`). They count everything that runs on the package,
//! so other programs are in the figure, and it says so. A configured figure is the whole machine
//! at full load; of it an answer takes as large a part as this process took of all cores' time.
//! Answers that are written at the same time share evenly what was taken meanwhile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Where Linux tells of power.
const POWERCAP: &str = "sys/class/powercap";

/// How a figure came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnergySource {
    /// The processor counted, other programs included.
    Rapl,
    /// Configured watts times the part of the machine that was at work.
    Configured,
}

impl EnergySource {
    /// For programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rapl => "rapl",
            Self::Configured => "configured",
        }
    }

    /// For people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Rapl => "RAPL, other programs included",
            Self::Configured => "by configured watts",
        }
    }
}

/// What an answer took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Energy {
    /// Joules.
    pub joules: f64,
    /// How they are known.
    pub source: EnergySource,
}

impl Energy {
    /// For people: `0.42 J (by configured watts)`, or that it was not measured.
    #[must_use]
    pub fn words(energy: Option<Self>) -> String {
        match energy {
            Some(Self { joules, source }) => format!("{joules:.2} J ({})", source.words()),
            None => "energy not measured".to_owned(),
        }
    }
}

/// A counter of the processor.
#[derive(Debug)]
struct Package {
    counter: PathBuf,
    /// The largest number it shows before it begins anew, in microjoules.
    range: u64,
}

/// What is read.
#[derive(Debug)]
enum Gauge {
    Packages(Vec<Package>),
    /// Joules of a second that one core works.
    Watts(f64),
    Nothing,
}

/// What was read last.
#[derive(Debug, Clone, PartialEq)]
enum Reading {
    /// Of each package, in microjoules.
    Counters(Vec<u64>),
    /// Of each thread of this process, by its number: nanoseconds that it worked.
    Worked(BTreeMap<u32, u64>),
}

/// The meter of a node.
#[derive(Debug)]
pub struct Meter {
    gauge: Gauge,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<Reading>,
    next: u64,
    /// Joules of every answer that is being written; none once a reading failed.
    running: BTreeMap<u64, Option<f64>>,
}

/// An answer that is being measured.
#[derive(Debug)]
pub struct Measuring {
    meter: Arc<Meter>,
    id: u64,
}

impl Meter {
    /// The best meter that `root` has: the counters of the processor, else a figure of the whole
    /// machine in watts, spread over its cores; zero watts are no figure.
    #[must_use]
    pub fn new(root: &Path, watts: u32, cores: usize) -> Arc<Self> {
        let packages = packages(&root.join(POWERCAP));
        let gauge = match (packages, watts) {
            (Some(packages), _) => Gauge::Packages(packages),
            (None, 0) => Gauge::Nothing,
            (None, watts) => Gauge::Watts(f64::from(watts) / cores.max(1) as f64),
        };
        Arc::new(Self { gauge, state: Mutex::default() })
    }

    /// How it measures, if it does.
    #[must_use]
    pub const fn source(&self) -> Option<EnergySource> {
        match self.gauge {
            Gauge::Packages(_) => Some(EnergySource::Rapl),
            Gauge::Watts(_) => Some(EnergySource::Configured),
            Gauge::Nothing => None,
        }
    }

    /// For people, with what to do where nothing is measured.
    #[must_use]
    pub fn words(&self) -> String {
        match &self.gauge {
            Gauge::Packages(packages) => {
                format!("RAPL of {} packages, other programs included", packages.len())
            }
            Gauge::Watts(watts) => format!("by configured watts, {watts:.1} W a core"),
            Gauge::Nothing => "not measured: no counter can be read, and no watts are set".into(),
        }
    }

    /// Begins to measure an answer.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> Measuring {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.settle(&mut state);
        let (id, known) = (state.next, state.last.is_some());
        state.next += 1;
        state.running.insert(id, known.then_some(0.0));
        Measuring { meter: self.clone(), id }
    }

    /// Deals out what was taken since the last reading.
    fn settle(&self, state: &mut State) {
        let now = self.gauge.read();
        let taken = match (&state.last, &now) {
            (Some(last), Some(now)) => self.gauge.joules(last, now),
            _ => None,
        };
        let share = taken.map(|taken| taken / state.running.len().max(1) as f64);
        for joules in state.running.values_mut() {
            *joules = joules.zip(share).map(|(joules, share)| joules + share);
        }
        state.last = now;
    }

    fn end(&self, id: u64) -> Option<Energy> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.settle(&mut state);
        let joules = state.running.remove(&id).flatten();
        joules.zip(self.source()).map(|(joules, source)| Energy { joules, source })
    }
}

impl Measuring {
    /// What the answer took; none where that is not known.
    #[must_use]
    pub fn end(self) -> Option<Energy> {
        self.meter.end(self.id)
    }
}

impl Drop for Measuring {
    /// An answer that failed takes its share with it.
    fn drop(&mut self) {
        let _ = self.meter.end(self.id);
    }
}

impl Gauge {
    fn read(&self) -> Option<Reading> {
        match self {
            Self::Packages(packages) => {
                let counters = packages.iter().map(|package| number(&package.counter));
                counters.collect::<Option<_>>().map(Reading::Counters)
            }
            Self::Watts(_) => worked().map(Reading::Worked),
            Self::Nothing => None,
        }
    }

    /// Joules between two readings.
    fn joules(&self, last: &Reading, now: &Reading) -> Option<f64> {
        match (self, last, now) {
            (Self::Packages(packages), Reading::Counters(last), Reading::Counters(now)) => {
                let taken = |(package, (last, now)): (&Package, (&u64, &u64))| {
                    // It began anew; at 100 watts that takes most of an hour, so it did so once.
                    let after = if now < last { package.range } else { 0 };
                    now.checked_add(after)?.checked_sub(*last)
                };
                let each = packages.iter().zip(last.iter().zip(now)).map(taken);
                Some(each.sum::<Option<u64>>()? as f64 / 1e6)
            }
            (Self::Watts(watts), Reading::Worked(last), Reading::Worked(now)) => {
                // A thread that is gone takes its last moments with it.
                let since = |(thread, now): (&u32, &u64)| {
                    now.saturating_sub(last.get(thread).copied().unwrap_or(0))
                };
                Some(watts * now.iter().map(since).sum::<u64>() as f64 / 1e9)
            }
            _ => None,
        }
    }
}

/// The processor's packages, each once; none where one of them cannot be read.
fn packages(folder: &Path) -> Option<Vec<Package>> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    // `intel-rapl:0:1` is a part of `intel-rapl:0`, and `intel-rapl-mmio:0` the same once more.
    let is_whole = |entry: &std::fs::DirEntry| {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("intel-rapl:"));
        number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let mut places: Vec<PathBuf> = entries.filter(is_whole).map(|entry| entry.path()).collect();
    places.sort();
    // The platform's own domain has the packages in it.
    places.retain(|place| {
        let name = std::fs::read_to_string(place.join("name"));
        name.is_ok_and(|name| name.starts_with("package"))
    });
    let package = |place: &PathBuf| {
        let counter = place.join("energy_uj");
        number(&counter)?;
        Some(Package { range: number(&place.join("max_energy_range_uj"))?, counter })
    };
    let packages = places.iter().map(package).collect::<Option<Vec<_>>>()?;
    (!packages.is_empty()).then_some(packages)
}

fn number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// How long each thread of this process and of its models' processes worked, in nanoseconds; none
/// where nobody tells.
fn worked() -> Option<BTreeMap<u32, u64>> {
    let own = std::fs::read_dir("/proc/self/task").ok()?;
    let others = crate::worker::processes().into_iter();
    let others = others.flat_map(|process| std::fs::read_dir(format!("/proc/{process}/task")));
    let threads = std::iter::once(own).chain(others).flatten().flatten();
    let each = threads.filter_map(|thread| {
        let number = thread.file_name().to_str()?.parse().ok()?;
        let times = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        Some((number, times.split_whitespace().next()?.parse().ok()?))
    });
    let each: BTreeMap<u32, u64> = each.collect();
    (!each.is_empty()).then_some(each)
}

#[cfg(test)]
mod tests;
