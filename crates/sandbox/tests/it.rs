//! Confines child processes and sees what each of them still can do.
//!
//! Confinement lasts for the life of a process and wants one with a single thread, so this program
//! starts itself again for every trial: the child confines itself, tries things and writes down
//! how they went, a line each, and the parent judges. The usual harness has threads of its own
//! and cannot be such a child; the small one below takes a part of a name as filter, as it does.

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#[path = "it/inside.rs"]
mod inside;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#[path = "it/outside.rs"]
mod outside;

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
fn main() -> std::process::ExitCode {
    match std::env::var(outside::TRIAL) {
        Ok(trial) => inside::run(&trial),
        Err(_) => outside::run_all(),
    }
}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
fn main() {
    let offered = mutirao_sandbox::offered();
    assert!(matches!(offered.files, mutirao_sandbox::Files::Not(_)));
    let confined = mutirao_sandbox::confine(&mutirao_sandbox::Rules::default());
    assert!(matches!(confined.expect("no error").calls, mutirao_sandbox::Calls::Not(_)));
}
