//! Disks without room, and disks that fail.

use mutirao_chain::testing::{Payer, Town, seeded};
use mutirao_chain::{Chain, Clock, FinaliseError, Genesis, Keeper, Pace, Store, StoreError, audit};
use mutirao_ledger::key::address::Network;
use mutirao_ledger::key::{Seed, SubaddressIndex};
use mutirao_ledger::rules::Height;
use mutirao_ledger::service::{Answer, Question, RefusalKind};
use mutirao_wire::Amount;
use redb::StorageBackend;
use redb::backends::InMemoryBackend;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What the disk does from now on.
#[derive(Debug, Default)]
struct Weather {
    /// The most bytes that it holds.
    room: AtomicU64,
    /// Whether reading fails.
    blind: AtomicBool,
}

/// A disk in memory that is full when the test says so.
#[derive(Debug)]
struct Disk {
    inner: Arc<InMemoryBackend>,
    weather: Arc<Weather>,
}

impl Disk {
    fn new(inner: &Arc<InMemoryBackend>) -> (Self, Arc<Weather>) {
        let weather = Arc::new(Weather::default());
        weather.room.store(u64::MAX, Ordering::Relaxed);
        (Self { inner: inner.clone(), weather: weather.clone() }, weather)
    }

    fn fits(&self, end: u64) -> io::Result<()> {
        let fits = end <= self.weather.room.load(Ordering::Relaxed);
        fits.then_some(()).ok_or_else(|| ErrorKind::StorageFull.into())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.weather.blind.load(Ordering::Relaxed) {
            return Err(ErrorKind::PermissionDenied.into());
        }
        self.inner.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.fits(len)?;
        self.inner.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.fits(0)?;
        self.inner.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.fits(offset + data.len() as u64)?;
        self.inner.write(offset, data)
    }
}

fn chain(disk: Disk) -> Chain {
    let store = Store::over(disk, &Genesis::test("disk")).expect("begun");
    Chain::over(store, 1, seeded(3)).expect("opened")
}

// spec: CHAIN-4.1, CHAIN-4.3
#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged_and_says_what_to_do() {
    let inner = Arc::new(InMemoryBackend::new());
    let (disk, weather) = Disk::new(&inner);
    let mut chain = chain(disk);
    let mut payer = Payer::new(&mut chain, 2);
    let kept = payer.transfer(0, Height(99));
    chain.submit(vec![kept.clone()]).expect("taken");
    chain.advance(2_000).expect("advances").expect("a block");
    let (stand, lost) = (chain.stand().clone(), payer.transfer(1, Height(99)));
    weather.room.store(0, Ordering::Relaxed);
    chain.submit(vec![lost.clone()]).expect("taken");
    let error = chain.advance(3_000).expect_err("there is no room");
    assert!(matches!(error, FinaliseError::Store(StoreError::Full(_))), "{error:?}");
    let words = error.to_string();
    assert!(words.contains("no room") && words.contains("make room"), "{words}");
    assert_eq!(*chain.stand(), stand, "the ledger is as it was");
    drop(chain);
    // Room is made, the ledger starts again.
    let (disk, _) = Disk::new(&inner);
    let mut chain = self::chain(disk);
    assert_eq!(*chain.stand(), stand);
    assert!(chain.store().place(&kept.id()).expect("read").is_some());
    assert_eq!(chain.store().place(&lost.id()).expect("read"), None);
    chain.submit(vec![lost.clone()]).expect("taken");
    chain.advance(4_000).expect("advances").expect("a block");
    assert!(chain.store().place(&lost.id()).expect("read").is_some());
    audit::both(chain.store()).expect("exact");
}

// spec: CHAIN-4.3
#[test]
fn a_disk_that_cannot_be_read_never_looks_like_an_empty_one() {
    let inner = Arc::new(InMemoryBackend::new());
    let (disk, _) = Disk::new(&inner);
    let mut chain = chain(disk);
    let mut payer = Payer::new(&mut chain, 1);
    let tx = payer.transfer(0, Height(99));
    chain.submit(vec![tx.clone()]).expect("taken");
    chain.advance(2_000).expect("advances").expect("a block");
    drop(chain);
    // With a cold cache, asking whether the note is spent has to read.
    let (disk, weather) = Disk::new(&inner);
    let mut chain = self::chain(disk);
    weather.blind.store(true, Ordering::Relaxed);
    let again = payer.transfer(0, Height(99));
    let outcome = chain.submit(vec![again]);
    assert!(outcome.is_err(), "a spent note was judged on a disk that cannot be read: {outcome:?}");
}

// spec: CHAIN-4.3, CHAIN-6.3
#[test]
fn a_keeper_whose_disk_is_full_acknowledges_nothing_and_says_why() {
    let inner = Arc::new(InMemoryBackend::new());
    let (disk, weather) = Disk::new(&inner);
    let mut chain = chain(disk);
    let mut payer = Payer::new(&mut chain, 2);
    let clock: Clock = Arc::new(|| 9_000);
    let keeper = Keeper::start(chain, clock, Pace::default()).expect("started");
    weather.room.store(0, Ordering::Relaxed);
    for note in 0..2 {
        let tx = payer.transfer(note, Height(99));
        let answer = keeper.ask(Question::Submit(Box::new(tx)));
        let Answer::Refused(refusal) = answer else { panic!("{answer:?}") };
        assert_eq!(refusal.kind, RefusalKind::Storage);
        assert!(refusal.to_string().contains("no room"), "{refusal}");
    }
    assert!(keeper.trouble().expect("it knows").contains("no room"));
    let key = Seed::new(&[2; 64]).account(0).receive_key();
    let address = key.address(Network::Test, SubaddressIndex::MAIN);
    let answer = keeper.ask(Question::Faucet { address, amount: Amount(1) });
    assert!(
        matches!(&answer, Answer::Refused(it) if it.kind == RefusalKind::Storage),
        "{answer:?}"
    );
}

// spec: CHAIN-4.1
#[test]
fn two_processes_do_not_keep_one_ledger() {
    let town = Town::new(0);
    let error = Store::open(town.folder()).expect_err("it is kept").to_string();
    assert!(error.contains("another process keeps the ledger"), "{error}");
    let empty = tempfile::tempdir().expect("a folder");
    assert!(matches!(Store::open(empty.path()), Err(StoreError::Missing(_))));
    let again = Store::create(town.folder(), &Genesis::test("other"));
    assert!(matches!(again, Err(StoreError::Exists(_))));
}

// spec: CHAIN-4.1
#[test]
fn a_file_that_is_no_ledger_is_refused_with_words() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(Store::path(folder.path()), [7; 9_000]).expect("written");
    let error = Store::open(folder.path()).expect_err("no ledger").to_string();
    assert!(error.contains("ledger"), "{error}");
}
