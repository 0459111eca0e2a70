//! The process that a model is in: it may be broken without harm, and there is no way out of it.

use super::{Person, name, texts};
use serde_json::Value;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// An answer that is not over before something can be done to it, and is not the likeliest one.
const ASKED: &[&str] =
    &["run", "village", "Tell me a story.", "--seed", "11", "--temperature", "1"];

/// Those that a process started, as far as they live.
fn children(of: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{of}/task")).into_iter().flatten().flatten();
    let lists = tasks.map(|task| std::fs::read_to_string(task.path().join("children")));
    let numbers = |list: String| {
        list.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<u32>>()
    };
    lists.flat_map(|list| numbers(list.unwrap_or_default())).collect()
}

/// The worker of a process, once there is one that is not in `known`.
fn worker(of: &Child, known: &[u32]) -> u32 {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(60) {
        let new = children(of.id()).into_iter().find(|process| !known.contains(process));
        if let Some(process) = new {
            return process;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("no worker comes");
}

fn kill(process: u32) {
    let killed = Command::new("kill").args(["-9", &process.to_string()]).status();
    assert!(killed.expect("kill is there").success());
}

/// Reads what a process says until so much is said.
fn hear(process: &mut Child, heard: &mut Vec<u8>, until: usize) {
    let out = process.stdout.as_mut().expect("a pipe");
    let mut byte = [0];
    while heard.len() < until {
        out.read_exact(&mut byte).expect("it goes on");
        heard.extend_from_slice(&byte);
    }
}

/// Asks slowly enough to be disturbed.
fn asks(person: &Person, more: &[&str]) -> Child {
    let mut command = person.command(&[ASKED, more].concat());
    command.env("MUTIRAO_PACE", "40").stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("it starts")
}

fn receipt(person: &Person, file: &str) -> Value {
    let text = std::fs::read(person.path(file)).expect("a receipt");
    serde_json::from_slice(&text).expect("JSON")
}

#[test]
fn a_worker_that_is_killed_in_mid_answer_is_replaced_and_the_answer_goes_on() {
    let person = Person::new();
    let whole = person.path("whole.json");
    let unbroken = person.run(&[ASKED, &["--receipt", name(&whole)]].concat());
    assert!(unbroken.status.success());

    let broken = person.path("broken.json");
    let mut process = asks(&person, &["--receipt", name(&broken)]);
    let (mut heard, mut killed) = (Vec::new(), Vec::new());
    for letters in [40, 120] {
        let worker = worker(&process, &killed);
        hear(&mut process, &mut heard, letters);
        kill(worker);
        killed.push(worker);
    }
    process.stdout.as_mut().expect("a pipe").read_to_end(&mut heard).expect("read");
    let status = process.wait().expect("it ends");
    assert!(status.success());

    let first_line = |text: &str| text.lines().next().expect("an answer").to_owned();
    let heard = String::from_utf8(heard).expect("text");
    let whole = texts(&unbroken).0;
    let told = |line: String| line.split_once(' ').expect("its provider before it").1.to_owned();
    assert_eq!(told(first_line(&heard)), told(first_line(&whole)));
    let tokens = |file: &str| receipt(&person, file)["opening"]["answer"].clone();
    assert_eq!(tokens("broken.json"), tokens("whole.json"));
    person.json(&["verify", name(&broken)]);
}

#[test]
fn a_worker_that_always_ends_is_a_failed_request_that_says_so() {
    let person = Person::new();
    let mut process = asks(&person, &[]);
    hear(&mut process, &mut Vec::new(), 40);
    let mut killed = Vec::new();
    let began = Instant::now();
    while process.try_wait().expect("asked").is_none() {
        assert!(began.elapsed() < Duration::from_secs(60), "it gives up some time");
        for worker in children(process.id()) {
            if !killed.contains(&worker) {
                kill(worker);
                killed.push(worker);
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = process.wait_with_output().expect("it ended");
    let (_, errors) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("ended") && errors.contains("signal: 9"), "{errors}");
    assert!(killed.len() >= 2, "it was tried again: {killed:?}");
}

#[test]
fn a_worker_without_memory_is_a_failed_request_and_the_door_stays_open() {
    let person = Person::new();
    let mut command = person.command(&["run", "village", "Hello"]);
    let output = command.env("MUTIRAO_WORKER_MEMORY", "40").output().expect("it ran");
    let (_, errors) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("the process that opens it"), "{errors}");
    assert!(errors.contains("worker_memory"), "what to do: {errors}");
}

#[test]
fn a_worker_has_no_variables_no_privileges_and_no_files_but_its_socket() {
    let person = Person::new();
    let mut process = asks(&person, &[]);
    hear(&mut process, &mut Vec::new(), 40);
    let worker = worker(&process, &[]);
    let of = |file: &str| std::fs::read_to_string(format!("/proc/{worker}/{file}"));
    let status = of("status").expect("its state");
    let says =
        |line: &str| status.lines().any(|found| found.split_whitespace().eq(line.split(' ')));
    assert!(says("Seccomp: 2") && says("NoNewPrivs: 1"), "{status}");
    assert_eq!(of("environ").expect("its variables"), "");
    let open = std::fs::read_dir(format!("/proc/{worker}/fd")).expect("its files").flatten();
    let open = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let open: Vec<String> = open.map(|path| path.to_string_lossy().into_owned()).collect();
    let known = |path: &&String| {
        path.starts_with("socket:") || path.starts_with("pipe:") || *path == "/dev/null"
    };
    let others: Vec<&String> = open.iter().filter(|path| !known(path)).collect();
    assert!(others.is_empty(), "{others:?}");
    process.kill().expect("killed");
    process.wait().expect("gone");
    let began = Instant::now();
    while std::path::Path::new(&format!("/proc/{worker}")).exists() {
        assert!(began.elapsed() < Duration::from_secs(10), "it outlives its node");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_worker_outlives_the_thread_that_started_it() {
    let person = Person::new();
    let mut command = person.command(&["serve", "--http", "127.0.0.1:0", "--json"]);
    let mut door = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let first = worker(&door, &[]);
    // Longer than an idle thread of the runtime lives.
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!(children(door.id()), [first]);
    door.kill().expect("killed");
    door.wait().expect("gone");
}

#[test]
fn without_a_sandbox_the_same_seed_has_the_same_answer() {
    let person = Person::new();
    let inside = texts(&person.run(ASKED)).0;
    let here = person.run(&[ASKED, &["--sandbox", "false"]].concat());
    assert!(here.status.success(), "{:?}", texts(&here));
    assert_eq!(inside.lines().next(), texts(&here).0.lines().next());
}

#[test]
fn doctor_says_how_models_are_confined() {
    let person = Person::new();
    let says = texts(&person.run(&["doctor"])).0;
    let line = says.lines().find(|line| line.contains("sandbox")).expect("a line").to_owned();
    assert!(line.starts_with("ok") && line.contains("system calls: seccomp"), "{line}");
    let tried = ["no socket", "no program", "no key", "no file outside"];
    assert!(tried.iter().all(|what| line.contains(what)), "{line}");
    let off = texts(&person.run(&["doctor", "--sandbox", "false"])).0;
    let line = off.lines().find(|line| line.contains("sandbox")).expect("a line").to_owned();
    assert!(line.contains("switched off"), "{line}");
}
