//! The child: does what its trial lists, in order, and writes down how each step went.
//!
//! A step is a word: `confine` and `narrow`, or something to try. A line is the word, what came of
//! it, and nothing else: `fine`, the kind of the error, or what the step found.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use mutirao_sandbox::{Confined, Rules, SandboxError, confine, offered};
use rustix::process::Signal;
use seccompiler::{SeccompAction, SeccompFilter};

use crate::outside::{MEMORY_BYTES, PLACE, PORT};

pub fn run(trial: &str) -> ExitCode {
    let place = PathBuf::from(std::env::var(PLACE).expect("a place"));
    let mut child = Child { place, confined: None };
    for step in trial.split(' ') {
        let went = child.step(step).unwrap_or_else(|error| words(&error));
        writeln!(io::stdout(), "{step}: {went}").expect("the parent listens");
    }
    ExitCode::SUCCESS
}

/// `EPERM` and `EACCES` are one kind, and that kind is what a refusal looks like.
fn words(error: &io::Error) -> String {
    format!("{:?}", error.kind())
}

struct Child {
    place: PathBuf,
    confined: Option<Confined>,
}

type Went = io::Result<String>;

impl Child {
    fn step(&mut self, step: &str) -> Went {
        let at = |name: &str| self.place.join(name);
        match step {
            "confine" => return Ok(self.confine(true)),
            "confine_without_bound" => return Ok(self.confine(false)),
            "narrow" => return Ok(self.narrow()),
            "forget_landlock" => without(young::LANDLOCK),
            "forget_seccomp" => without(young::SECCOMP),
            "offered" => return Ok(offered().words()),
            "missing_path" => return Ok(refused(&[at("nowhere")])),
            "with_a_thread" => return Ok(beside_a_thread()),
            "tcp_connect" => drop(TcpStream::connect(("127.0.0.1", port()))?),
            "tcp_listen" => drop(TcpListener::bind("127.0.0.1:0")?),
            "udp" => drop(UdpSocket::bind("127.0.0.1:0")?),
            "unix_connect" => drop(UnixStream::connect(at("socket"))?),
            "unix_listen" => drop(UnixListener::bind(at("packs/socket"))?),
            "unix_pair" => drop(UnixDatagram::pair()?),
            "read_model" => return fs::read_to_string(at("models/model")),
            "list_models" => return Ok(fs::read_dir(at("models"))?.count().to_string()),
            "truncate_model" => drop(fs::File::options().write(true).open(at("models/model"))?),
            "read_key" => return fs::read_to_string(at("key")),
            "read_key_through_a_link" => return fs::read_to_string(at("models/link")),
            "list_proc" => drop(fs::read_dir("/proc/self/fd")?),
            "read_pack" => return fs::read_to_string(at("packs/kept")),
            "write_inside" => write(&at("packs"))?,
            "write_outside" => fs::write(at("note"), "out")?,
            "write_beside_the_model" => fs::write(at("models/new"), "out")?,
            "move_the_key_in" => fs::rename(at("key"), at("packs/key"))?,
            "remove_key" => fs::remove_file(at("key"))?,
            "mode_of_key" => open_up(&at("key"))?,
            "link_the_key" => fs::hard_link(at("key"), at("packs/hard"))?,
            "execute" => drop(Command::new("/bin/true").status()?),
            "allocate" => return Ok(allocate()),
            "threads" => return Ok(threads()),
            "processors" => drop(std::thread::available_parallelism()?),
            "talk" => return talk(),
            "signal_parent" => signal_parent()?,
            "core_limit" => return Ok(core_limit()),
            "panic" => drop(std::panic::catch_unwind(|| panic!("caught"))),
            "abort" => std::process::abort(),
            "wait" => wait(),
            other => return Ok(format!("no step is called {other}")),
        }
        Ok("fine".to_owned())
    }

    fn confine(&mut self, bounded: bool) -> String {
        let rules = Rules {
            read: vec![self.place.join("models")],
            write: vec![self.place.join("packs")],
            memory_bytes: bounded.then_some(MEMORY_BYTES),
            end_with_parent: true,
        };
        self.keep(confine(&rules))
    }

    fn narrow(&mut self) -> String {
        let confined = self.confined.take().expect("confined before");
        let packs = self.place.join("packs");
        self.keep(confined.narrow(&[packs]))
    }

    fn keep(&mut self, confined: Result<Confined, SandboxError>) -> String {
        match confined {
            Ok(confined) => self.confined.insert(confined).words(),
            Err(error) => error.to_string(),
        }
    }
}

fn refused(read: &[PathBuf]) -> String {
    let rules = Rules { read: read.to_vec(), ..Rules::default() };
    confine(&rules).expect_err("refused").to_string()
}

fn beside_a_thread() -> String {
    let (send, wait) = std::sync::mpsc::sync_channel::<()>(0);
    let other = std::thread::spawn(move || wait.recv());
    let said = refused(&[]);
    drop(send);
    assert!(other.join().expect("joined").is_err());
    said
}

fn port() -> u16 {
    std::env::var(PORT).expect("a port").parse().expect("a number")
}

/// All that a whole and durable file needs: a name beside, a lock, a sync, a rename, a listing.
fn write(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    let inner = folder.join("inner");
    fs::DirBuilder::new().mode(0o700).create(&inner)?;
    let mut file = tempfile::Builder::new().prefix(".part-").tempfile_in(&inner)?;
    file.as_file().lock()?;
    file.write_all(b"a pack")?;
    file.as_file().set_len(4)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(folder.join("pack")).map_err(|error| error.error)?;
    let fresh = tempfile::NamedTempFile::new_in(folder)?;
    fresh.persist_noclobber(folder.join("fresh")).map_err(|error| error.error)?;
    fs::File::open(folder)?.sync_all()?;
    fs::copy(folder.join("pack"), folder.join("copy"))?;
    assert_eq!(fs::read(folder.join("copy"))?, b"a pa");
    assert_eq!(fs::canonicalize(folder.join("copy"))?.file_name(), Some("copy".as_ref()));
    assert_eq!(fs::read_dir(folder)?.count(), 5);
    for name in ["pack", "fresh", "copy"] {
        fs::remove_file(folder.join(name))?;
    }
    fs::remove_dir(inner)
}

fn open_up(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

fn allocate() -> String {
    let reserve = |bytes: u64| {
        let bytes = usize::try_from(bytes).expect("64 bits");
        Vec::<u8>::new().try_reserve_exact(bytes).is_ok()
    };
    format!("{} {}", reserve(MEMORY_BYTES / 8), reserve(MEMORY_BYTES + 1))
}

/// Each allocates, so that the allocator makes arenas; together they lock and wait.
fn threads() -> String {
    let total = std::sync::Mutex::new(0usize);
    let barrier = std::sync::Barrier::new(8);
    std::thread::scope(|scope| {
        for part in 0..8 {
            let work = || {
                barrier.wait();
                let numbers: Vec<Vec<usize>> = (0..1000).map(|one| vec![one; 100]).collect();
                *total.lock().expect("no panic") += numbers.iter().map(Vec::len).sum::<usize>();
            };
            let named = std::thread::Builder::new().name(format!("part {part}"));
            named.spawn_scoped(scope, work).expect("a thread");
        }
    });
    total.into_inner().expect("no panic").to_string()
}

/// Standard input is one end of a pair of sockets.
fn talk() -> Went {
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    socket.set_read_timeout(Some(std::time::Duration::from_secs(10)))?;
    socket.write_all(b"question")?;
    let mut answer = [0; 6];
    socket.read_exact(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// A signal that nobody minds, should it arrive.
fn signal_parent() -> io::Result<()> {
    let parent = rustix::process::getppid().expect("a parent");
    Ok(rustix::process::kill_process(parent, Signal::WINCH)?)
}

fn core_limit() -> String {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Core);
    format!("{:?} {:?}", limit.current, limit.maximum)
}

/// Longer than any test waits for it.
fn wait() {
    writeln!(io::stdout(), "waiting").expect("the parent listens");
    std::thread::sleep(std::time::Duration::from_secs(60));
}

mod young {
    //! The calls that an older kernel does not know.

    pub const LANDLOCK: &[i64] = &[
        libc::SYS_landlock_create_ruleset,
        libc::SYS_landlock_add_rule,
        libc::SYS_landlock_restrict_self,
    ];
    pub const SECCOMP: &[i64] = &[libc::SYS_seccomp];
}

/// Makes the kernel answer as one that has none of `calls`.
fn without(calls: &[i64]) {
    let rules = calls.iter().map(|call| (*call, Vec::new())).collect();
    let answer = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let architecture = std::env::consts::ARCH.try_into().expect("known");
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, answer, architecture);
    let program: seccompiler::BpfProgram = filter.expect("a filter").try_into().expect("compiled");
    seccompiler::apply_filter(&program).expect("installed");
}
