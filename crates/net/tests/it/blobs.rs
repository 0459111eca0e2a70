//! A model of a hundred megabytes in pieces: from peers that die, that send rubbish, that have
//! nothing, and across an end of the puller.

use crate::world::{key, loopback, nobody, soon, within};
use iroh::endpoint::{Connection, presets};
use iroh::{Endpoint, EndpointAddr, PublicKey, RelayMode, TransportAddr};
use mutirao_net::blobs::{
    Library, MODELS_ALPN, PullError, Puller, PushError, PushOffer, PushReply, Shelf, push,
};
use mutirao_net::iroh::{Config, bind};
use mutirao_net::{Net, Ticket};
use mutirao_wire::{Digest, FileEntry, FileName, Manifest, ModelId};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const MIB: u64 = 1 << 20;

fn model() -> ModelId {
    ModelId(Digest::of("test", &[b"a large model"]))
}

/// Bytes that repeat nowhere.
fn weights(folder: &Path, bytes: u64) -> PathBuf {
    let path = folder.join("model.safetensors");
    let mut content = vec![0; bytes as usize];
    let mut state = 1_u64;
    for part in content.chunks_mut(8) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        part.copy_from_slice(&state.to_le_bytes()[..part.len()]);
    }
    std::fs::write(&path, content).expect("written");
    path
}

/// A node that has the model.
struct Holder {
    net: Arc<dyn Net>,
    weights: PathBuf,
    manifest: Manifest,
    _folder: tempfile::TempDir,
}

impl Holder {
    async fn start(number: u8, bytes: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let weights = weights(folder.path(), bytes);
        let shelf = Shelf::open(&folder.path().join("shelf")).await.expect("a shelf");
        let entry = |name, bytes, hash| FileEntry { name, bytes, hash };
        let config = shelf.put_bytes(b"{}".to_vec()).await.expect("put");
        let hash = shelf.put_file(&weights).await.expect("put");
        let files = vec![entry(FileName::Config, 2, config), entry(FileName::Weights, bytes, hash)];
        let manifest = Manifest { model: model(), files };
        let library = Library::new(shelf);
        library.offer(manifest.clone());
        let config = Config { library: Some(library), ..Config::new(loopback(0)) };
        let net = soon(bind(&key(number), config)).await.expect("a node");
        Self { net, weights, manifest, _folder: folder }
    }

    fn ticket(&self) -> Ticket {
        self.net.ticket()
    }

    /// Spoils a part of the file where it lies, after its hash was taken.
    fn spoil(&self, at: u64, bytes: usize) {
        use std::io::{Seek as _, Write as _};
        let mut file = std::fs::OpenOptions::new().write(true).open(&self.weights).expect("opened");
        file.seek(std::io::SeekFrom::Start(at)).expect("there");
        file.write_all(&vec![7; bytes]).expect("spoiled");
    }
}

/// A peer that has nothing of its own: it fetches from a holder and passes on, with one byte of
/// some answers changed. What a provider reads from a spoiled disk it does not send, so a false
/// byte on the wire needs a peer that means it.
struct Liar {
    endpoint: Endpoint,
    lies: Arc<AtomicU64>,
}

impl Liar {
    /// Spoils every answer of more than a megabyte, up to `lies_max` of them.
    async fn start(holder: &Holder, lies_max: u64) -> Self {
        let endpoint = Endpoint::builder(presets::Minimal)
            .alpns(vec![MODELS_ALPN.to_vec(), iroh_blobs::ALPN.to_vec()])
            .relay_mode(RelayMode::Disabled)
            .clear_address_lookup()
            .clear_ip_transports()
            .bind_addr(loopback(0))
            .expect("an address")
            .bind()
            .await
            .expect("a socket");
        let lies = Arc::new(AtomicU64::new(0));
        let key = PublicKey::from_bytes(&holder.ticket().key().0).expect("a key");
        let addresses = holder.ticket().addresses().to_vec();
        let target = EndpointAddr::from_parts(key, addresses.into_iter().map(TransportAddr::Ip));
        let (accepting, counted) = (endpoint.clone(), lies.clone());
        tokio::spawn(async move {
            while let Some(incoming) = accepting.accept().await {
                let Ok(near) = incoming.await else { continue };
                let far = accepting.connect(target.clone(), near.alpn()).await.expect("a holder");
                tokio::spawn(pass_on(near, far, counted.clone(), lies_max));
            }
        });
        Self { endpoint, lies }
    }

    fn ticket(&self) -> Ticket {
        let key = mutirao_wire::PeerKey(*self.endpoint.id().as_bytes());
        Ticket::new(key, self.endpoint.bound_sockets())
    }

    /// How many false bytes it sent.
    fn lies(&self) -> u64 {
        self.lies.load(Ordering::SeqCst)
    }
}

/// Questions there, answers back, some of them with a changed byte.
async fn pass_on(near: Connection, far: Connection, lies: Arc<AtomicU64>, lies_max: u64) {
    while let Ok((mut answer, mut question)) = near.accept_bi().await {
        let asked = question.read_to_end(1 << 20).await.expect("a question");
        let (mut sender, mut receiver) = far.open_bi().await.expect("a stream");
        sender.write_all(&asked).await.expect("asked");
        sender.finish().expect("asked");
        let Ok(mut said) = receiver.read_to_end(64 << 20).await else { continue };
        let middle = said.len() / 2;
        if said.len() as u64 > MIB && lies.load(Ordering::SeqCst) < lies_max {
            lies.fetch_add(1, Ordering::SeqCst);
            said[middle] ^= 1;
        }
        let _ = answer.write_all(&said).await;
        let _ = answer.finish();
    }
}

/// A node that wants it.
struct Wanting {
    puller: Puller,
    shelf: Shelf,
    folder: tempfile::TempDir,
}

impl Wanting {
    async fn start() -> Self {
        Self::again(tempfile::tempdir().expect("a folder")).await
    }

    async fn again(folder: tempfile::TempDir) -> Self {
        let shelf = Shelf::open(&folder.path().join("shelf")).await.expect("a shelf");
        let puller = Puller::new(shelf.clone()).await.expect("a socket");
        Self { puller, shelf, folder }
    }

    async fn end(self) -> tempfile::TempDir {
        self.puller.close().await;
        self.shelf.close().await;
        self.folder
    }

    /// Whether the file is here, byte for byte.
    async fn has(&self, holder: &Holder, original: &[u8]) -> bool {
        let target = self.folder.path().join("copy");
        let hash = holder.manifest.files[1].hash;
        self.shelf.copy_to(hash, &target).await.expect("copied");
        std::fs::read(target).expect("read") == original
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_megabytes_come_whole_though_one_peer_dies_and_one_sends_false_bytes() {
    let bytes = 100 * MIB;
    let (dies, source) = (Holder::start(1, bytes).await, Holder::start(2, bytes).await);
    let original = std::fs::read(&source.weights).expect("read");
    let liar = Liar::start(&source, 2).await;
    let wanting = Wanting::start().await;
    let peers = [dies.ticket(), liar.ticket()];
    let (manifest, who) = soon(wanting.puller.find(model(), &peers)).await.expect("found");
    assert_eq!((&manifest, who.len()), (&dies.manifest, 2));
    let dying = dies.net.clone();
    let killed = Arc::new(AtomicU64::new(0));
    let seen = killed.clone();
    let progress = move |have| {
        if have > bytes * 6 / 10 && seen.swap(1, Ordering::SeqCst) == 0 {
            let dying = dying.clone();
            tokio::spawn(async move { dying.close().await });
        }
    };
    let pulled = within(120, wanting.puller.fetch(manifest, &who, progress)).await;
    let pulled = pulled.expect("the other one had the rest");
    assert_eq!(killed.load(Ordering::SeqCst), 1);
    assert_eq!(liar.lies(), 2, "it was asked, and sent false bytes");
    assert_eq!(pulled.from.len(), 2, "both gave something: {:?}", pulled.from);
    assert!(wanting.has(&dies, &original).await, "byte for byte");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_only_lies_gives_nothing_and_is_named() {
    let source = Holder::start(6, 12 * MIB).await;
    let liar = Liar::start(&source, u64::MAX).await;
    let wanting = Wanting::start().await;
    let peers = [liar.ticket()];
    let (manifest, who) = soon(wanting.puller.find(model(), &peers)).await.expect("found");
    let failed = within(60, wanting.puller.fetch(manifest, &who, |_| {})).await;
    let Err(PullError::NobodyLeft { left, reasons }) = failed else { panic!("{failed:?}") };
    assert!(liar.lies() >= 3 && left >= 11 * MIB, "{left} {reasons}");
    assert!(reasons.contains(&liar.ticket().key().short()), "{reasons}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_verified_is_not_asked_for_again_after_an_end_in_the_middle() {
    let bytes = 40 * MIB;
    let holder = Holder::start(3, bytes).await;
    let original = std::fs::read(&holder.weights).expect("read");
    let wanting = Wanting::start().await;
    let peers = [holder.ticket()];
    let (manifest, who) = soon(wanting.puller.find(model(), &peers)).await.expect("found");
    let (stop, mut stopped) = tokio::sync::mpsc::channel(1);
    let progress = move |have| {
        if have > bytes / 2 {
            let _ = stop.try_send(());
        }
    };
    tokio::select! {
        _ = wanting.puller.fetch(manifest.clone(), &who, progress) => panic!("not stopped in time"),
        _ = stopped.recv() => {}
    }
    let wanting = Wanting::again(wanting.end().await).await;
    let pulled = within(60, wanting.puller.fetch(manifest, &who, |_| {})).await.expect("the rest");
    assert!(pulled.fetched <= bytes / 2 + 8 * MIB, "{} asked again", pulled.fetched);
    assert!(wanting.has(&holder, &original).await);
    let again = wanting.puller.fetch(holder.manifest.clone(), &who, |_| {}).await.expect("whole");
    assert_eq!((again.fetched, again.from), (0, Vec::new()), "nothing is missing any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_that_nobody_has_right_is_an_error_that_names_the_peers_and_keeps_the_rest() {
    let bytes = 12 * MIB;
    let spoils = Holder::start(4, bytes).await;
    spoils.spoil(5 * MIB, 10);
    let wanting = Wanting::start().await;
    let peers = [spoils.ticket()];
    let (manifest, who) = soon(wanting.puller.find(model(), &peers)).await.expect("found");
    let failed = within(60, wanting.puller.fetch(manifest, &who, |_| {})).await;
    let Err(PullError::NobodyLeft { left, reasons }) = failed else { panic!("{failed:?}") };
    assert!((MIB..=12 * MIB).contains(&left), "{left}");
    assert!(reasons.contains(&spoils.ticket().key().short()), "{reasons}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_nobody_has_is_an_error_that_says_who_was_asked() {
    let holder = Holder::start(5, MIB).await;
    let wanting = Wanting::start().await;
    let peers = [holder.ticket(), Ticket::new(nobody(), vec![loopback(9)])];
    let other = ModelId(Digest::of("test", &[b"another"]));
    let Err(PullError::Nowhere { reasons, .. }) = soon(wanting.puller.find(other, &peers)).await
    else {
        panic!("found")
    };
    assert!(reasons.contains("does not have it") && reasons.contains("no reply"), "{reasons}");
    let (_, who) = soon(wanting.puller.find(model(), &peers)).await.expect("one has it");
    assert_eq!(who, [holder.ticket()]);
}

/// Something to push, on a shelf that no node serves.
async fn to_push(folder: &Path, bytes: u64) -> (Shelf, PushOffer, Vec<u8>) {
    let path = weights(folder, bytes);
    let shelf = Shelf::open(&folder.join("shelf")).await.expect("a shelf");
    let hash = shelf.put_file(&path).await.expect("put");
    let files = vec![FileEntry { name: FileName::Weights, bytes, hash }];
    let offer = PushOffer { name: "large".into(), manifest: Manifest { model: model(), files } };
    (shelf, offer, std::fs::read(path).expect("read"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_pushed_is_pulled_over_the_pushers_own_connection_and_only_if_it_is_wanted() {
    let (pushes, mut judged) = tokio::sync::mpsc::channel(1);
    let config = Config { pushes: Some(pushes), ..Config::new(loopback(0)) };
    let taker = soon(bind(&key(31), config)).await.expect("a node");
    let folder = tempfile::tempdir().expect("a folder");
    let (shelf, offer, original) = to_push(folder.path(), 9 * MIB).await;
    let wanting = Wanting::start().await;
    let judging = async {
        let pushed = judged.recv().await.expect("a first push");
        assert_eq!((pushed.offered.peer, &pushed.offered.offer), (key(32).peer_key(), &offer));
        pushed.end(&PushReply::Refused { reason: "not today".into() }).await;
        let mut pushed = judged.recv().await.expect("a second one");
        pushed.say(&PushReply::Progress { have: 0, all: 9 * MIB }).await;
        let pulled = wanting.puller.fetch_pushed(&pushed.offered, |_| {}).await.expect("it comes");
        assert_eq!(pulled.from, [(key(32).peer_key(), 9 * MIB)]);
        let arrived = PushReply::Arrived { name: "here".into(), fetched: pulled.fetched };
        pushed.end(&arrived).await;
    };
    let pushing = async {
        let (ticket, told) = (taker.ticket(), AtomicU64::new(0));
        let progress = |_, all| told.store(all, Ordering::SeqCst);
        let refused = push(&key(32), &shelf, &ticket, &offer, progress).await;
        let refused = refused.expect_err("it is not wanted").to_string();
        assert!(refused.contains("not today"), "{refused}");
        let pushed = push(&key(32), &shelf, &ticket, &offer, progress).await.expect("it is taken");
        assert_eq!((pushed, told.into_inner()), (("here".into(), 9 * MIB), 9 * MIB));
    };
    within(60, async { tokio::join!(judging, pushing) }).await;
    let copy = folder.path().join("copy");
    wanting.shelf.copy_to(offer.manifest.files[0].hash, &copy).await.expect("copied");
    assert!(std::fs::read(copy).expect("read") == original, "byte for byte");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_takes_no_models_and_one_that_is_not_there_are_clear_errors() {
    let folder = tempfile::tempdir().expect("a folder");
    let (shelf, offer, _) = to_push(folder.path(), 100).await;
    let deaf = soon(bind(&key(33), Config::new(loopback(0)))).await.expect("a node");
    for peer in [deaf.ticket(), Ticket::new(nobody(), vec![loopback(9)])] {
        let failed = soon(push(&key(34), &shelf, &peer, &offer, |_, _| {})).await;
        let failed = failed.expect_err("nobody takes it");
        assert!(matches!(&failed, PushError::Net(_)), "{failed}");
        assert!(failed.to_string().contains(&peer.key().short()), "{failed}");
    }
}
