//! Walls hold: each test starts this program once more as a process that confines itself and then
//! tries what it should not be able to do.

use mutirao_sandbox::{Rules, confine, narrow, offered};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

/// Tells the process inside where it may play.
const PLACE: &str = "MUTIRAO_SANDBOX_PLACE";
const MEMORY: u64 = 2 << 30;

/// What is tried inside, and whether it worked; in a process of its own.
fn inside(name: &str) -> String {
    let place = tempfile::tempdir().expect("a folder");
    for folder in ["read", "write"] {
        fs::create_dir(place.path().join(folder)).expect("made");
    }
    for file in ["read/model", "key", "write/old"] {
        fs::write(place.path().join(file), "text").expect("written");
    }
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", name, "--ignored", "--nocapture", "--test-threads", "1"]);
    let ran = command.env(PLACE, place.path()).output().expect("it ran");
    let (said, errors) =
        (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{said}{errors}");
    assert!(place.path().join("key").is_file(), "the key is still there");
    said.into_owned()
}

/// A line of what was tried.
fn tell(what: &str, worked: bool) {
    let outcome = if worked { "works" } else { "refused" };
    let line = format!("{what}: {outcome}\n");
    std::io::stdout().write_all(line.as_bytes()).expect("said");
}

fn works(said: &str, what: &str) -> bool {
    let line = |outcome: &str| said.lines().any(|line| line == format!("{what}: {outcome}"));
    assert!(line("works") != line("refused"), "{what} in {said}");
    line("works")
}

/// Whether this kernel has walls around files; without, there is nothing to show of them.
fn has_files() -> bool {
    let there = offered().files.stands();
    if !there {
        let words = offered().words();
        std::io::stderr().write_all(format!("not shown here: {words}\n").as_bytes()).expect("said");
    }
    there
}

fn within(place: &Path) -> Rules {
    let read = vec![place.join("read")];
    Rules { read, write: vec![place.join("write")], memory_bytes: Some(MEMORY) }
}

#[test]
#[ignore = "runs inside of the others"]
fn a_confined_process() {
    let Some(place) = std::env::var_os(PLACE).map(std::path::PathBuf::from) else { return };
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = tcp.local_addr().expect("its address");
    let (mut one, mut other) = UnixStream::pair().expect("a pair");
    let confined = confine(&within(&place)).expect("confined");
    tell(&confined.words(), true);
    tell("connect", TcpStream::connect(address).is_ok());
    tell("listen", TcpListener::bind("127.0.0.1:0").is_ok());
    tell("udp", UdpSocket::bind("127.0.0.1:0").is_ok());
    tell("unix socket", UnixListener::bind(place.join("write/socket")).is_ok());
    tell("new pair", UnixStream::pair().is_ok());
    tell("execute", Command::new("/bin/true").status().is_ok());
    tell("read the model", fs::read(place.join("read/model")).is_ok());
    tell("write the model", fs::write(place.join("read/model"), "other").is_ok());
    tell("read the key", fs::read(place.join("key")).is_ok());
    tell("remove the key", fs::remove_file(place.join("key")).is_ok());
    tell("open up the key", fs::set_permissions(place.join("key"), permissions()).is_ok());
    tell("read the system", fs::read("/etc/passwd").is_ok());
    tell("read its own memory", fs::read("/proc/self/mem").is_ok());
    tell("write outside", fs::write(place.join("outside"), "text").is_ok());
    tell(
        "link out",
        std::os::unix::fs::symlink(place.join("key"), place.join("write/link")).is_ok(),
    );
    tell("write", fs::write(place.join("write/new"), "text").is_ok());
    tell("rename", fs::rename(place.join("write/new"), place.join("write/newer")).is_ok());
    tell("rename out", fs::rename(place.join("write/newer"), place.join("read/newer")).is_ok());
    tell("thread", std::thread::spawn(|| 7).join().is_ok());
    tell(
        "socket that was open",
        one.write_all(b"word").and_then(|()| other.read_exact(&mut [0; 4])).is_ok(),
    );
    tell("memory", Vec::<u8>::new().try_reserve_exact(64 << 20).is_ok());
    tell("too much memory", Vec::<u8>::new().try_reserve_exact(MEMORY as usize).is_ok());
    let parent = rustix::process::getppid().expect("a parent");
    tell(
        "signal the parent",
        rustix::process::kill_process(parent, rustix::process::Signal::CONT).is_ok(),
    );
    let open = fs::File::open(place.join("read/model")).expect("open");
    let (go, ready) = std::sync::mpsc::sync_channel::<()>(0);
    let model = place.join("read/model");
    let early = std::thread::spawn(move || ready.recv().is_ok() && fs::read(model).is_ok());
    narrow().expect("narrowed");
    go.send(()).expect("it waits");
    tell("later: read in an earlier thread", early.join().expect("ran"));
    tell("later: read the model", fs::read(place.join("read/model")).is_ok());
    tell("later: write", fs::write(place.join("write/last"), "text").is_ok());
    tell("later: read what is open", (&open).read(&mut [0; 4]).is_ok());
    tell("later: thread", std::thread::spawn(|| 7).join().is_ok());
}

fn permissions() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    fs::Permissions::from_mode(0o666)
}

#[test]
fn a_confined_process_has_no_network_and_starts_nothing() {
    let said = inside("a_confined_process");
    for what in ["connect", "listen", "udp", "unix socket", "new pair", "execute"] {
        assert!(!works(&said, what), "{what}: {said}");
    }
    assert!(!works(&said, "signal the parent"));
    assert!(works(&said, "thread") && works(&said, "socket that was open"));
}

#[test]
fn a_confined_process_reads_and_writes_where_it_may_and_nowhere_else() {
    let said = inside("a_confined_process");
    for what in ["read the model", "write", "rename"] {
        assert!(works(&said, what), "{what}: {said}");
    }
    assert!(!works(&said, "open up the key") && !works(&said, "link out"));
    let closed = ["write the model", "read the key", "remove the key", "read the system"];
    let also = ["read its own memory", "write outside", "rename out"];
    for what in closed.iter().chain(&also).filter(|_| has_files()) {
        assert!(!works(&said, what), "{what}: {said}");
    }
}

#[test]
fn a_narrowed_process_opens_no_file_at_all() {
    let said = inside("a_confined_process");
    assert!(!works(&said, "later: read the model") && !works(&said, "later: write"));
    assert!(!works(&said, "later: read in an earlier thread"), "{said}");
    assert!(works(&said, "later: read what is open") && works(&said, "later: thread"));
}

#[test]
fn a_confined_process_gets_no_more_memory_than_it_may_have() {
    let said = inside("a_confined_process");
    assert!(works(&said, "memory") && !works(&said, "too much memory"), "{said}");
    assert!(said.contains("memory: at most 2048 MiB"), "{said}");
}

#[test]
fn a_path_that_is_not_there_is_named() {
    let rules = Rules { read: vec!["/no/such/model".into()], ..Rules::default() };
    let error = std::thread::spawn(move || confine(&rules)).join().expect("ran").expect_err("gone");
    assert!(error.to_string().contains("/no/such/model"), "{error}");
}

#[test]
fn what_is_offered_confines_nobody() {
    let words = offered().words();
    assert!(words.contains("system calls"), "{words}");
    TcpListener::bind("127.0.0.1:0").expect("still free to listen");
}
