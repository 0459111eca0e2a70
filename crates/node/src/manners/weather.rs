//! What this machine knows of itself: who is at the keyboard, whether it is plugged in, what time
//! it is. Linux tells it in files; what is not there is not known.
//!
//! The keyboard: the last use of any terminal (the system keeps it to eight seconds), and a change
//! in the count of keyboard and mouse interrupts, which also sees a person under a window system.

use super::{Facts, Manners};
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often the machine is looked at: a person who comes back does not wait for longer.
const EVERY: Duration = Duration::from_millis(250);
/// Devices of people in the list of interrupts.
const DEVICES: [&str; 5] = ["i8042", "keyboard", "mouse", "touchpad", "i2c_hid"];

/// Looks at the machine until nobody needs to know any more.
pub fn watch(manners: &Arc<Manners>) {
    let manners: Weak<Manners> = Arc::downgrade(manners);
    let mut machine = Machine::new(Path::new("/"));
    if let Some(manners) = manners.upgrade() {
        manners.learn(&machine.look());
    }
    std::thread::spawn(move || {
        while let Some(manners) = manners.upgrade() {
            manners.learn(&machine.look());
            drop(manners);
            std::thread::sleep(EVERY);
        }
    });
}

/// What this machine can tell of itself now; for `mutirao doctor`.
pub fn now() -> Facts {
    Machine::new(Path::new("/")).look()
}

/// A machine, and what was last seen of its devices.
struct Machine<'a> {
    root: &'a Path,
    interrupts: Option<u64>,
    touched: Option<Instant>,
}

impl<'a> Machine<'a> {
    fn new(root: &'a Path) -> Self {
        Self { root, interrupts: None, touched: None }
    }

    fn look(&mut self) -> Facts {
        let seen = self.interrupts();
        if seen.is_some() && self.interrupts.is_some() && seen != self.interrupts {
            self.touched = Some(Instant::now());
        }
        self.interrupts = seen;
        let touched = self.touched.map(|at| at.elapsed());
        let idle = [self.terminals(), touched].into_iter().flatten().min();
        Facts { idle, on_batteries: self.batteries(), hour: hour() }
    }

    /// Since the last use of any terminal.
    fn terminals(&self) -> Option<Duration> {
        let used = ["dev", "dev/pts"].into_iter().flat_map(|folder| {
            let entries = std::fs::read_dir(self.root.join(folder)).into_iter().flatten();
            entries.flatten().filter(is_terminal).filter_map(|entry| used(&entry))
        });
        used.min()
    }

    /// How often a device of people asked for attention.
    fn interrupts(&self) -> Option<u64> {
        let text = std::fs::read_to_string(self.root.join("proc/interrupts")).ok()?;
        let of_people = |line: &&str| DEVICES.iter().any(|device| line.contains(device));
        let lines: Vec<&str> = text.lines().filter(of_people).collect();
        let count = |line: &str| -> u64 {
            line.split_whitespace().skip(1).map_while(|word| word.parse::<u64>().ok()).sum()
        };
        (!lines.is_empty()).then(|| lines.into_iter().map(count).sum())
    }

    /// Whether a battery is being emptied.
    fn batteries(&self) -> Option<bool> {
        let entries = std::fs::read_dir(self.root.join("sys/class/power_supply")).ok()?;
        let read = |path: &Path, name: &str| std::fs::read_to_string(path.join(name)).ok();
        let status = entries.flatten().filter_map(|entry| {
            let battery = read(&entry.path(), "type")?.trim() == "Battery";
            battery.then(|| read(&entry.path(), "status")).flatten()
        });
        let status: Vec<String> = status.collect();
        (!status.is_empty()).then(|| status.iter().any(|status| status.trim() == "Discharging"))
    }
}

fn is_terminal(entry: &std::fs::DirEntry) -> bool {
    let name = entry.file_name();
    let name = name.to_string_lossy();
    let console = name.strip_prefix("tty").is_some_and(|rest| rest.parse::<u8>().is_ok());
    console || name.parse::<u32>().is_ok()
}

fn used(entry: &std::fs::DirEntry) -> Option<Duration> {
    entry.metadata().ok()?.accessed().ok()?.elapsed().ok()
}

fn hour() -> u8 {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    u8::try_from(seconds / 3600 % 24).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        for (path, content) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, content).expect("written");
        }
        root
    }

    #[test]
    fn a_machine_that_tells_nothing_forbids_nothing() {
        let root = machine(&[]);
        let facts = Machine::new(root.path()).look();
        assert_eq!((facts.idle, facts.on_batteries), (None, None));
        assert!(facts.hour < 24);
    }

    #[test]
    fn a_battery_that_empties_is_seen_and_a_mouse_with_batteries_of_its_own_is_not() {
        let supply = "sys/class/power_supply";
        for (status, expected) in [("Discharging\n", true), ("Charging\n", false)] {
            let (kind, is) = (format!("{supply}/BAT0/type"), format!("{supply}/BAT0/status"));
            let root = machine(&[(&kind, "Battery\n"), (&is, status)]);
            assert_eq!(Machine::new(root.path()).look().on_batteries, Some(expected));
        }
        let root = machine(&[(&format!("{supply}/AC/type"), "Mains\n")]);
        assert_eq!(Machine::new(root.path()).look().on_batteries, None);
    }

    #[test]
    fn a_key_that_is_pressed_is_seen_at_the_next_look() {
        let lines = |count| format!("  1:  {count}  3  IO-APIC  1-edge  i8042\n  9:  7  acpi\n");
        let root = machine(&[("proc/interrupts", &lines(5))]);
        let mut machine = Machine::new(root.path());
        assert_eq!(machine.look().idle, None, "nothing has happened yet");
        assert_eq!(machine.look().idle, None);
        std::fs::write(root.path().join("proc/interrupts"), lines(6)).expect("written");
        assert!(machine.look().idle.expect("somebody is there") < Duration::from_secs(5));
    }

    #[test]
    fn the_last_use_of_a_terminal_counts() {
        let root = machine(&[("dev/pts/0", ""), ("dev/null", ""), ("dev/pts/ptmx", "")]);
        let idle = Machine::new(root.path()).look().idle.expect("a terminal was used");
        assert!(idle < Duration::from_secs(60));
    }
}
