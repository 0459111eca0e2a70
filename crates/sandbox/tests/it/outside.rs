//! The parent: gives each child a place and a trial, and judges what the child wrote down.

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::panic::catch_unwind;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};

use mutirao_sandbox::{Calls, Files, offered};
use tempfile::TempDir;

/// The steps of a child; a program that is started without is the parent.
pub const TRIAL: &str = "MUTIRAO_SANDBOX_TRIAL";
/// The child's folder.
pub const PLACE: &str = "MUTIRAO_SANDBOX_PLACE";
/// Where the parent listens.
pub const PORT: &str = "MUTIRAO_SANDBOX_PORT";
/// What a child may map: its own program, eight threads with an arena each, and some.
pub const MEMORY_BYTES: u64 = 3 << 30;

const REFUSED: &str = "PermissionDenied";

macro_rules! tests {
    ($($name:ident)*) => { &[$((stringify!($name), $name)),*] };
}

const TESTS: &[(&str, fn())] = tests![
    no_socket_can_be_made
    files_outside_the_rules_cannot_be_read
    files_outside_the_write_paths_cannot_be_changed
    files_inside_the_write_paths_can_be_made_renamed_and_removed
    no_program_can_be_started
    more_memory_than_allowed_cannot_be_had
    threads_can_still_be_started_and_joined
    a_pair_of_sockets_opened_before_still_talks
    signals_reach_neither_the_parent_nor_a_core_file
    a_panic_is_caught_and_an_abort_aborts
    once_narrowed_nothing_can_be_written_and_less_be_read
    narrows_after_threads_have_ended
    without_landlock_calls_are_filtered_and_the_words_say_so
    without_seccomp_files_are_guarded_and_the_words_say_so
    a_path_that_is_not_there_is_refused_by_name
    a_process_with_threads_is_refused
    asking_what_is_offered_confines_nobody
    ends_with_the_thread_that_started_it
];

pub fn run_all() -> ExitCode {
    let chosen = filter();
    let fits = |name: &str| chosen.as_deref().is_none_or(|part| name.contains(part));
    let mut failed = 0;
    for (name, test) in TESTS.iter().filter(|(name, _)| fits(name)) {
        let fine = catch_unwind(test).is_ok();
        failed += usize::from(!fine);
        say(&format!("test {name} ... {}", if fine { "ok" } else { "FAILED" }));
    }
    say(&format!("test result: {failed} failed"));
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The first argument that is neither an option nor an option's value.
fn filter() -> Option<String> {
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--test-threads" | "--skip" | "--format" | "--color" | "--logfile" => {
                arguments.next();
            }
            option if option.starts_with('-') => {}
            _ => return Some(argument),
        }
    }
    None
}

fn say(line: &str) {
    writeln!(io::stderr(), "{line}").expect("somebody reads");
}

/// A folder as the node has one, and listeners that a child must not reach.
struct Place {
    folder: TempDir,
    tcp: TcpListener,
    _unix: UnixListener,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        for name in ["models", "packs"] {
            fs::create_dir(at(name)).expect("a folder");
        }
        for (name, text) in [("models/model", "weights"), ("key", "secret"), ("packs/kept", "kept")]
        {
            fs::write(at(name), text).expect("a file");
        }
        std::os::unix::fs::symlink(at("key"), at("models/link")).expect("a link");
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let unix = UnixListener::bind(at("socket")).expect("a listener");
        Place { folder, tcp, _unix: unix }
    }

    fn start(&self, trial: &str, input: Stdio) -> Child {
        let port = self.tcp.local_addr().expect("bound").port();
        let mut child = Command::new(std::env::current_exe().expect("this program"));
        child.env(TRIAL, trial).env(PLACE, self.folder.path()).env(PORT, port.to_string());
        child.stdin(input).stdout(Stdio::piped()).spawn().expect("a child")
    }

    fn untouched(&self) -> bool {
        let at = |name: &str| self.folder.path().join(name);
        fs::read_to_string(at("key")).expect("the key") == "secret"
            && fs::read_to_string(at("models/model")).expect("the model") == "weights"
            && !at("note").exists()
            && !at("models/new").exists()
    }
}

/// What a child wrote down, and how it ended.
struct Went {
    lines: HashMap<String, String>,
    status: ExitStatus,
}

impl Went {
    fn of(child: Child) -> Went {
        let output = child.wait_with_output().expect("a child that ends");
        let text = String::from_utf8(output.stdout).expect("text");
        let pair = |line: &str| {
            line.split_once(": ").map(|(step, went)| (step.to_owned(), went.to_owned()))
        };
        Went { lines: text.lines().filter_map(pair).collect(), status: output.status }
    }

    #[track_caller]
    fn is(&self, step: &str, expected: &str) {
        let actual = self.lines.get(step).map(String::as_str);
        assert_eq!(actual, Some(expected), "{step} in {:?}, {}", self.lines, self.status);
    }

    /// As `is`, where the kernel has Landlock; without, sees that the child was told so.
    #[track_caller]
    fn is_guarded(&self, step: &str, expected: &str) {
        if let Files::Not(why) = offered().files {
            say(&format!("`{step}` is not judged: {why}"));
            assert!(self.lines["confine"].starts_with("files: not guarded ("), "{:?}", self.lines);
        } else {
            self.is(step, expected);
        }
    }
}

fn went(trial: &str) -> Went {
    let place = Place::new();
    let went = Went::of(place.start(trial, Stdio::null()));
    assert!(!landlock() || place.untouched(), "{:?}", went.lines);
    went
}

fn landlock() -> bool {
    !matches!(offered().files, Files::Not(_))
}

#[track_caller]
fn all(trial: &str, expected: &str) {
    let steps = trial.split(' ').filter(|step| !["confine", "narrow"].contains(step));
    let went = went(trial);
    steps.for_each(|step| went.is(step, expected));
}

fn no_socket_can_be_made() {
    let tries = "tcp_connect tcp_listen udp unix_connect unix_listen unix_pair";
    all(tries, "fine");
    all(&format!("confine {tries}"), REFUSED);
}

fn files_outside_the_rules_cannot_be_read() {
    let went = went("confine read_model list_models read_key read_key_through_a_link list_proc");
    went.is("read_model", "weights");
    went.is("list_models", "2");
    for step in ["read_key", "read_key_through_a_link", "list_proc"] {
        went.is_guarded(step, REFUSED);
    }
}

fn files_outside_the_write_paths_cannot_be_changed() {
    let guarded = ["write_outside", "write_beside_the_model", "truncate_model", "remove_key"];
    let went = went(&format!("confine link_the_key mode_of_key {}", guarded.join(" ")));
    guarded.iter().for_each(|step| went.is_guarded(step, REFUSED));
    went.is("link_the_key", REFUSED);
    went.is("mode_of_key", REFUSED);
    // A rename between folders that the rules tell apart is `EXDEV`, or `EACCES`.
    let moved = self::went("confine move_the_key_in").lines["move_the_key_in"].clone();
    assert!(!landlock() || [REFUSED, "CrossesDevices"].contains(&moved.as_str()), "{moved}");
}

fn files_inside_the_write_paths_can_be_made_renamed_and_removed() {
    let went = went("confine write_inside read_pack");
    went.is("write_inside", "fine");
    went.is("read_pack", "kept");
}

fn no_program_can_be_started() {
    all("execute", "fine");
    all("confine execute", REFUSED);
}

fn more_memory_than_allowed_cannot_be_had() {
    let went = went("confine allocate");
    went.is("allocate", "true false");
    assert!(went.lines["confine"].ends_with(", memory: 3072 MiB"), "{:?}", went.lines);
    let free = self::went("confine_without_bound");
    assert!(free.lines["confine_without_bound"].contains(", memory: "), "{:?}", free.lines);
}

fn threads_can_still_be_started_and_joined() {
    let went = went("confine threads processors narrow threads");
    went.is("threads", "800000");
    went.is("processors", "fine");
}

fn a_pair_of_sockets_opened_before_still_talks() {
    let (mut ours, theirs) = UnixStream::pair().expect("a pair");
    let place = Place::new();
    let child = place.start("confine talk", Stdio::from(OwnedFd::from(theirs)));
    let mut question = [0; 8];
    ours.read_exact(&mut question).expect("a question");
    ours.write_all(b"answer").expect("sent");
    assert_eq!(&question, b"question");
    Went::of(child).is("talk", "answer");
}

fn signals_reach_neither_the_parent_nor_a_core_file() {
    all("signal_parent", "fine");
    let went = went("confine signal_parent core_limit");
    went.is("signal_parent", REFUSED);
    went.is("core_limit", "Some(0) Some(0)");
}

fn a_panic_is_caught_and_an_abort_aborts() {
    let went = went("confine panic abort");
    went.is("panic", "fine");
    assert_eq!(went.status.signal(), Some(libc::SIGABRT), "{}", went.status);
}

fn once_narrowed_nothing_can_be_written_and_less_be_read() {
    let went = went("confine read_model narrow write_inside truncate_model read_pack read_key");
    went.is("read_model", "weights");
    went.is("read_pack", "kept");
    went.is("write_inside", REFUSED);
    went.is("truncate_model", REFUSED);
    went.is_guarded("read_key", REFUSED);
    self::went("confine narrow read_model").is_guarded("read_model", REFUSED);
}

fn narrows_after_threads_have_ended() {
    let went = went("confine threads narrow");
    assert_eq!(went.lines["narrow"], went.lines["confine"]);
}

fn without_landlock_calls_are_filtered_and_the_words_say_so() {
    let went = went("forget_landlock offered confine udp read_key narrow write_inside");
    let wanted = "files: not guarded (the kernel has no Landlock, which came with Linux 5.13, or \
                  a container forbids it), system calls: seccomp, memory: 3072 MiB";
    went.is("confine", wanted);
    went.is("narrow", wanted);
    went.is("read_key", "secret");
    went.is("udp", REFUSED);
    went.is("write_inside", REFUSED);
    assert!(went.lines["offered"].contains("files: not guarded ("), "{:?}", went.lines);
}

fn without_seccomp_files_are_guarded_and_the_words_say_so() {
    let went = went("forget_seccomp confine udp read_key narrow write_inside");
    for step in ["confine", "narrow"] {
        let words = &went.lines[step];
        assert!(words.contains("system calls: not guarded (Error calling `seccomp`"), "{words}");
    }
    went.is_guarded("read_key", REFUSED);
    went.is_guarded("write_inside", REFUSED);
}

fn a_path_that_is_not_there_is_refused_by_name() {
    let said = went("missing_path").lines["missing_path"].clone();
    assert!(said.starts_with("cannot allow /"), "{said}");
    assert!(said.contains("/nowhere: No such file or directory"), "{said}");
}

fn a_process_with_threads_is_refused() {
    let wanted = "2 threads run; only a process with one thread can confine itself";
    went("with_a_thread").is("with_a_thread", wanted);
}

fn asking_what_is_offered_confines_nobody() {
    let went = went("offered udp execute read_key write_inside");
    went.is("offered", &offered().words());
    for (step, expected) in
        [("udp", "fine"), ("execute", "fine"), ("read_key", "secret"), ("write_inside", "fine")]
    {
        went.is(step, expected);
    }
    assert_eq!(offered().calls, Calls::Filtered, "every kernel of today filters");
    say(&offered().words());
}

/// The kernel's parent is a thread: it ends here, and this process goes on.
fn ends_with_the_thread_that_started_it() {
    let started = std::thread::spawn(|| {
        let place = Place::new();
        let mut child = place.start("confine wait", Stdio::null());
        let mut lines = BufReader::new(child.stdout.as_mut().expect("piped")).lines();
        assert!(lines.any(|line| line.expect("text") == "waiting"));
        child
    });
    let mut child = started.join().expect("a child that waits");
    assert_eq!(child.wait().expect("ended").signal(), Some(libc::SIGKILL));
}
