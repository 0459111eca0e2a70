//! Every input that was worth keeping, on every run of the tests: what a fuzzer once found does not
//! come back.

use std::path::Path;

fn folder(target: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

#[test]
fn whatever_was_found_once_is_taken_without_a_panic() {
    for (target, take) in mutirao_fuzz::TARGETS {
        let entries = std::fs::read_dir(folder(target)).expect("a corpus for each target");
        let mut count = 0;
        for entry in entries {
            let path = entry.expect("an entry").path();
            take(&std::fs::read(&path).expect("read"));
            count += 1;
        }
        assert!(count >= 5, "{target}: only {count} inputs");
    }
}

#[test]
fn each_target_has_a_program_of_its_own_for_the_fuzzer() {
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("libfuzzer/targets");
    for (target, _) in mutirao_fuzz::TARGETS {
        let program = std::fs::read_to_string(programs.join(format!("{target}.rs")));
        let called = format!("mutirao_fuzz::run(\"{target}\", bytes)");
        assert!(program.expect("a program").contains(&called), "{target}");
    }
    assert_eq!(std::fs::read_dir(programs).expect("listed").count(), mutirao_fuzz::TARGETS.len());
}
