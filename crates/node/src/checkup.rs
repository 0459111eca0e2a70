//! `doctor`: tries everything a node needs and names what is wrong and what to do.

use crate::ask::Question;
use crate::assemble::Node;
use crate::config::Config;
use crate::manners::{Facts, Reason, Rules};
use crate::models::VILLAGE;
use crate::packs;
use mutirao_engine::Kernels;
use mutirao_wire::bundle::Message;
use mutirao_wire::form::Form;
use mutirao_wire::{Privacy, Sampling};

/// One thing that was tried.
#[derive(Debug, Clone)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// Whether it works.
    pub passed: bool,
    /// What was found, and what to do if it does not work.
    pub says: String,
}

impl Check {
    fn of<E: std::fmt::Display>(name: &'static str, result: Result<String, E>) -> Self {
        let passed = result.is_ok();
        Self { name, passed, says: result.unwrap_or_else(|error| error.to_string()) }
    }
}

impl Node {
    /// Tries everything. Nothing leaves the machine.
    pub async fn check_up(&self) -> Vec<Check> {
        let data = self.config().data_dir.display().to_string();
        let model = self.open(VILLAGE);
        let model = model.map(|opened| format!("{VILLAGE} {}", opened.id().short()));
        let keys = self.keys().map(|keys| format!("{} in {data}", keys.peer.peer_key().short()));
        let peers = self.peers().map(|peers| format!("{} nodes", peers.tickets().len()));
        vec![
            Check::of("kernels", Ok::<_, String>(Kernels::detect().name().to_owned())),
            Check::of("threads", Ok::<_, String>(self.config().threads.to_string())),
            Check::of("sandbox", self.confines()),
            Check::of("owner", Ok::<_, String>(self.owner())),
            Check::of("energy", Ok::<_, String>(self.meter().words())),
            Check::of("keys", keys),
            Check::of("circle", peers),
            Check::of("model", model),
            Check::of("packed", self.check_packs()),
            self.check_answer().await,
            self.check_socket().await,
        ]
    }

    /// What stands around the processes of models, and whether it holds.
    fn confines(&self) -> Result<String, String> {
        let offered = mutirao_sandbox::offered().words();
        self.keys().map_err(|error| error.to_string())?;
        let data = &self.config().data_dir;
        let opened = self.open(VILLAGE).map_err(|error| error.to_string())?;
        match opened.mind().escape(&data.join("keys/peer.key"), data) {
            None => Ok(format!("switched off (--sandbox); this system has {offered}")),
            Some(Ok(tried)) if tried.contains('A') => {
                Err(format!("{offered}; tried inside: {tried}; see docs/why/0028"))
            }
            Some(Ok(tried)) => Ok(format!("{offered}; tried inside: {tried}")),
            Some(Err(error)) => Err(error.to_string()),
        }
    }

    /// What is known of whoever owns this machine, and whether it would be lent now.
    fn owner(&self) -> String {
        let facts = Facts::of_this_machine();
        let verdict = Rules::of(self.config()).judge(&facts);
        let words = verdict.map_or("lent now", Reason::words);
        format!("{}: {words}", facts.words())
    }

    /// Compares every pack with its digest.
    fn check_packs(&self) -> Result<String, String> {
        let listed = self.models().list().map_err(|error| error.to_string())?;
        let (mut packed, mut damaged) = (0, Vec::new());
        let place = |name: &str| self.models().place(name);
        let is_packed = |name: &str| place(name).is_ok_and(|place| packs::is_packed(&place));
        for listed in listed.iter().filter(|listed| is_packed(&listed.name)) {
            // What does not open at all is said when somebody opens it.
            let Ok(opened) = self.open_anew(&listed.name) else { continue };
            packed += usize::from(opened.spec.packed);
            if self.prove(&opened).is_err() {
                damaged.push(listed.name.clone());
            }
        }
        match damaged.is_empty() {
            true => Ok(format!("{packed} models, whole")),
            false => {
                Err(format!("{} damaged on this disk, to be packed again", damaged.join(", ")))
            }
        }
    }

    /// Asks one question through the whole path and replays its receipt.
    async fn check_answer(&self) -> Check {
        let config = Config { privacy: Privacy::Local, receipts: false, ..self.config().clone() };
        let node = Self::new(config);
        let question = Question {
            model: VILLAGE.into(),
            messages: vec![Message { role: "user".into(), content: "What is 2 + 2?".into() }],
            sampling: Sampling::greedy(),
            max_tokens: 32,
            stop: Vec::new(),
            form: Form::default(),
            logprobs: None,
            raw: false,
        };
        let answered = match node.ask(&question, &mut |_| {}).await {
            Ok(answered) => answered,
            Err(error) => return Check::of("answer", Err::<String, _>(error)),
        };
        let verdict = node.verify(answered.receipt_json.as_bytes());
        Check::of(
            "answer",
            match verdict {
                Ok(verdict) if verdict.holds() => {
                    Ok(format!("{:?}, receipt replayed", answered.text))
                }
                Ok(verdict) => Err(verdict.refusal().unwrap_or("refused").to_owned()),
                Err(error) => Err(error.to_string()),
            },
        )
    }

    async fn check_socket(&self) -> Check {
        match self.client_net().await {
            Ok(net) => {
                let addresses = net.ticket().addresses().len();
                net.close().await;
                Check::of("network", Ok::<_, String>(format!("UDP socket, {addresses} addresses")))
            }
            Err(error) => Check::of("network", Err::<String, _>(error)),
        }
    }
}
