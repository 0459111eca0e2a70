//! Tells an HTTP client what happens while its answer comes, calls of tools apart from text.

use crate::ask::Notice;
use mutirao_gateway::Said;
use mutirao_text::{CallFinder, Piece};
use mutirao_wire::PeerKey;
use mutirao_wire::form::Call;
use tokio::sync::mpsc::Sender;

/// Listens to one answer.
pub(super) struct Teller {
    say: Sender<Said>,
    speaker: Option<PeerKey>,
    /// Looks for calls, where the model may make any.
    finder: Option<CallFinder>,
    text: String,
    calls: Vec<Call>,
}

impl Teller {
    pub(super) fn new(say: Sender<Said>, may_call: bool) -> Self {
        let finder = may_call.then(CallFinder::default);
        Self { say, speaker: None, finder, text: String::new(), calls: Vec::new() }
    }

    pub(super) fn hear(&mut self, notice: Notice) {
        match notice {
            Notice::Chose { .. } => {}
            Notice::Asking { provider } => self.speaker = Some(provider),
            Notice::Text { text } => match &mut self.finder {
                None => self.text(text),
                Some(finder) => finder.push(&text).into_iter().for_each(|piece| self.tell(piece)),
            },
            Notice::Lost { provider, why } => self.said(Said::Lost { provider, why }),
        }
    }

    /// The text and the calls, once the answer is whole.
    pub(super) fn end(mut self) -> (String, Vec<Call>) {
        let left = self.finder.take().and_then(CallFinder::finish);
        left.into_iter().for_each(|left| self.text(left));
        (self.text, self.calls)
    }

    fn tell(&mut self, piece: Piece) {
        match piece {
            Piece::Text(text) => self.text(text),
            Piece::Call(call) => {
                self.calls.push(call.clone());
                if let Some(provider) = self.speaker {
                    self.said(Said::Call { call, provider });
                }
            }
        }
    }

    fn text(&mut self, text: String) {
        self.text.push_str(&text);
        if let Some(provider) = self.speaker {
            self.said(Said::Text { text, provider });
        }
    }

    /// The channel has room for all of it; it refuses only when nobody listens.
    fn said(&self, said: Said) {
        let _ = self.say.try_send(said);
    }
}
