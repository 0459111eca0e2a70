//! Frames between a link and a state machine: one task reads, one writes, channels in between.
//!
//! Reading a frame cannot be cancelled half-way, so it has a task of its own; the machine in the
//! middle then waits for whatever comes first.

use mutirao_market::session::frame::{ClientFrame, ProviderFrame};
use mutirao_net::{Link, Net, NetError, Ticket};
use mutirao_wire::{Decode, Encode, PeerKey};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Frames that wait in one direction before the sender has to.
const FRAMES_WAITING: usize = 256;

/// What came in.
#[derive(Debug)]
pub enum Heard<F> {
    /// A frame.
    Frame(F),
    /// Bytes that are no frame.
    Garbage(String),
    /// The stream ended, politely or not.
    Gone(String),
}

/// Says one thing to a peer and hears one thing back, on a stream of its own.
///
/// # Errors
/// [`NetError`] when it cannot be reached, goes, or says what is no frame.
pub async fn ask_once(
    net: &dyn Net,
    ticket: &Ticket,
    question: &ClientFrame,
) -> Result<ProviderFrame, NetError> {
    let link = net.dial(ticket).await?;
    let (heard, mut inbox) = mpsc::channel(1);
    let carried = Carried::start(link, move |frame: Heard<ProviderFrame>| {
        let heard = heard.clone();
        async move { heard.send(frame).await.is_ok() }
    });
    carried.send(question).await;
    let reply = inbox.recv().await;
    carried.hang_up();
    match reply {
        Some(Heard::Frame(frame)) => Ok(frame),
        Some(Heard::Gone(reason)) => Err(NetError::Unreachable { peer: ticket.key(), reason }),
        Some(Heard::Garbage(reason)) => Err(NetError::Broken { reason }),
        None => Err(NetError::Broken { reason: "it said nothing".into() }),
    }
}

/// A link whose frames are typed and whose ends are channels.
#[derive(Debug)]
pub struct Carried {
    /// Who is at the other end.
    pub peer: PeerKey,
    outgoing: mpsc::Sender<Vec<u8>>,
    reader: JoinHandle<()>,
    writer: JoinHandle<()>,
}

impl Carried {
    /// Starts both tasks; whatever comes in goes to `hear`, until that says to stop.
    pub fn start<In, Hear, Hearing>(link: Link, hear: Hear) -> Self
    where
        In: Decode + Send + 'static,
        Hear: Fn(Heard<In>) -> Hearing + Send + 'static,
        Hearing: Future<Output = bool> + Send,
    {
        let Link { peer, mut sender, mut receiver } = link;
        let (outgoing, mut frames) = mpsc::channel::<Vec<u8>>(FRAMES_WAITING);
        let writer = tokio::spawn(async move {
            while let Some(frame) = frames.recv().await {
                if sender.send(frame).await.is_err() {
                    return;
                }
            }
            sender.finish().await;
        });
        let reader = tokio::spawn(async move {
            loop {
                let heard = match receiver.receive().await {
                    Ok(Some(frame)) => In::from_bytes(&frame)
                        .map_or_else(|error| Heard::Garbage(error.to_string()), Heard::Frame),
                    Ok(None) => Heard::Gone("it closed the stream".into()),
                    Err(error) => Heard::Gone(error.to_string()),
                };
                let last = !matches!(heard, Heard::Frame(_));
                if !hear(heard).await || last {
                    return;
                }
            }
        });
        Self { peer, outgoing, reader, writer }
    }

    /// Sends a frame; waits while the peer is slow. Whether it can still be reached.
    pub async fn send(&self, frame: &impl Encode) -> bool {
        self.outgoing.send(frame.to_bytes()).await.is_ok()
    }

    /// Stops listening, lets what was sent arrive, and closes.
    pub async fn finish(self) {
        self.reader.abort();
        drop(self.outgoing);
        let _ = self.writer.await;
    }

    /// Stops listening and closes in the background.
    pub fn hang_up(self) {
        tokio::spawn(self.finish());
    }
}
