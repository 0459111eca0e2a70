//! Folders laid out like the kernel's, and a process that works.

use super::*;

/// A machine with these counters: domain, name, microjoules.
fn machine(domains: &[(&str, &str, u64)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a folder");
    for (domain, name, energy) in domains {
        let place = root.path().join(POWERCAP).join(domain);
        std::fs::create_dir_all(&place).expect("made");
        let write = |file: &str, content: String| {
            std::fs::write(place.join(file), content + "\n").expect("written");
        };
        write("name", (*name).to_owned());
        write("energy_uj", energy.to_string());
        write("max_energy_range_uj", "262143328850".to_owned());
    }
    root
}

fn show(root: &tempfile::TempDir, domain: &str, energy: u64) {
    let counter = root.path().join(POWERCAP).join(domain).join("energy_uj");
    std::fs::write(counter, format!("{energy}\n")).expect("written");
}

fn meter(root: &tempfile::TempDir, watts: u32) -> Arc<Meter> {
    Meter::new(root.path(), watts, 4)
}

#[test]
fn packages_are_summed_and_their_parts_and_the_platform_are_not_counted_again() {
    let root = machine(&[
        ("intel-rapl:0", "package-0", 1_000_000),
        ("intel-rapl:1", "package-1", 5_000_000),
        ("intel-rapl:0:0", "core", 700_000),
        ("intel-rapl-mmio:0", "package-0", 1_000_000),
        ("intel-rapl:2", "psys", 9_000_000),
    ]);
    let meter = meter(&root, 65);
    let answer = meter.begin();
    show(&root, "intel-rapl:0", 3_500_000);
    show(&root, "intel-rapl:1", 5_250_000);
    show(&root, "intel-rapl:0:0", 2_000_000);
    show(&root, "intel-rapl:2", 99_000_000);
    let energy = answer.end().expect("measured");
    assert_eq!(energy, Energy { joules: 2.75, source: EnergySource::Rapl });
    assert_eq!(Energy::words(Some(energy)), "2.75 J (RAPL, other programs included)");
}

#[test]
fn a_counter_that_begins_anew_loses_nothing() {
    let root = machine(&[("intel-rapl:0", "package-0", 262_143_000_000)]);
    let meter = meter(&root, 0);
    let answer = meter.begin();
    show(&root, "intel-rapl:0", 671_150);
    let energy = answer.end().expect("measured");
    assert!((energy.joules - 1.0).abs() < 1e-9, "{energy:?}");
}

#[test]
fn answers_that_are_written_at_the_same_time_share_and_nothing_is_counted_twice() {
    let root = machine(&[("intel-rapl:0", "package-0", 0)]);
    let meter = meter(&root, 0);
    let first = meter.begin();
    show(&root, "intel-rapl:0", 4_000_000);
    let second = meter.begin();
    show(&root, "intel-rapl:0", 10_000_000);
    assert!((first.end().expect("measured").joules - 7.0).abs() < 1e-9);
    show(&root, "intel-rapl:0", 11_000_000);
    assert!((second.end().expect("measured").joules - 4.0).abs() < 1e-9);
    show(&root, "intel-rapl:0", 90_000_000);
    let third = meter.begin();
    assert_eq!(third.end().expect("measured").joules, 0.0, "idle time is nobody's");
    drop(meter.begin());
    assert!(meter.state.lock().expect("whole").running.is_empty(), "what failed is forgotten");
}

#[test]
fn a_counter_that_cannot_be_read_is_not_half_a_figure() {
    // As most systems have it: only root may read. A folder in its place cannot be read by root.
    let root = machine(&[("intel-rapl:0", "package-0", 7), ("intel-rapl:1", "package-1", 7)]);
    let counter = root.path().join(POWERCAP).join("intel-rapl:1/energy_uj");
    std::fs::remove_file(&counter).expect("removed");
    std::fs::create_dir(&counter).expect("made");
    assert_eq!(meter(&root, 65).source(), Some(EnergySource::Configured));
    let none = meter(&root, 0);
    assert_eq!(none.source(), None);
    assert_eq!(none.begin().end(), None);
    assert_eq!(Energy::words(None), "energy not measured");
    assert!(none.words().contains("not measured"));
}

#[test]
fn a_counter_that_fails_or_says_nonsense_meanwhile_leaves_the_answer_unmeasured() {
    for nonsense in ["", "-3\n", "much\n"] {
        let root = machine(&[("intel-rapl:0", "package-0", 7)]);
        let meter = meter(&root, 65);
        let answer = meter.begin();
        let counter = root.path().join(POWERCAP).join("intel-rapl:0/energy_uj");
        std::fs::write(&counter, nonsense).expect("written");
        let other = meter.begin();
        show(&root, "intel-rapl:0", 9_000_000);
        assert_eq!((answer.end(), other.end()), (None, None), "{nonsense:?}");
        let later = meter.begin();
        show(&root, "intel-rapl:0", 10_000_000);
        assert!((later.end().expect("it is back").joules - 1.0).abs() < 1e-9);
    }
}

#[test]
fn configured_watts_count_the_part_of_the_machine_that_worked() {
    let root = machine(&[]);
    let meter = meter(&root, 80);
    let answer = meter.begin();
    let all = || worked().expect("this system tells").values().sum::<u64>();
    let start = all();
    let mut sum = 0u64;
    while all().saturating_sub(start) < 50_000_000 {
        sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(1));
    }
    let energy = answer.end().expect("measured");
    assert_eq!(energy.source, EnergySource::Configured);
    // Twenty watts a core; other tests of this process may work, and end, at the same time.
    assert!(energy.joules > 0.1, "{energy:?}");
}
