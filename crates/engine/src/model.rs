//! A model ready to run: its header, and its weights packed for this machine's kernels.

pub mod bounds;
pub mod header;
pub mod llama;
pub mod matrix;
pub mod packed;
pub mod variant;

use crate::guide::{Guide, Guides, NoGuide};
use crate::kernel::packed::Bytes;
use crate::load::LoadError;
use crate::load::format::File;
use header::Header;
use llama::Llama;
use mutirao_wire::job::Constraint;
use mutirao_wire::{ModelId, OpSet, Token};
use packed::{PackedError, PackedFile};
use std::sync::Arc;

/// A verified model. Immutable: share it as `Arc<Model>`.
#[derive(Debug)]
pub struct Model {
    id: ModelId,
    header: Header,
    tokenizer: Vec<u8>,
    template: Vec<u8>,
    pub(crate) network: Llama,
    /// Who follows grammars in its tokens, if anybody does.
    guides: Option<Arc<dyn Guides>>,
}

impl Model {
    /// Reads a model file of our own format, checks every digest and every static bound, and packs
    /// the weights.
    ///
    /// # Errors
    /// [`LoadError`] for anything but a whole, canonical, proven file.
    // spec: ENGINE-10.5
    pub fn from_bytes(file: &[u8]) -> Result<Self, LoadError> {
        let file = File::parse(file)?;
        let network = Llama::new(&file.header, &file)?;
        Ok(Self {
            id: file.id,
            tokenizer: file.tokenizer.to_vec(),
            template: file.template.to_vec(),
            header: file.header,
            network,
            guides: None,
        })
    }

    /// Opens a packed model, whose weights stay where `bytes` has them: in a file that the machine
    /// has mapped, or in memory. Only the front is read.
    ///
    /// # Errors
    /// [`PackedError`]: then pack the model file again.
    pub fn open_packed(bytes: Bytes) -> Result<Self, PackedError> {
        let file = PackedFile::open(bytes)?;
        let network = Llama::new(&file.header, &file).map_err(|_| PackedError::Damaged)?;
        let PackedFile { id, header, tokenizer, template, .. } = file;
        Ok(Self { id, header, tokenizer, template, network, guides: None })
    }

    /// The digest that names this model.
    #[must_use]
    pub fn id(&self) -> ModelId {
        self.id
    }

    /// The integer semantics it runs under.
    #[must_use]
    pub fn op_set(&self) -> OpSet {
        self.header.op_set
    }

    /// Number of tokens it knows.
    #[must_use]
    pub fn vocabulary(&self) -> u32 {
        self.header.shape.vocabulary
    }

    /// Most positions of a sequence.
    #[must_use]
    pub fn context(&self) -> u32 {
        self.header.shape.context
    }

    /// The tokens that end an answer.
    #[must_use]
    pub fn end_of_text(&self) -> &[Token] {
        &self.header.end_of_text
    }

    /// The bytes of its `tokenizer.json`.
    #[must_use]
    pub fn tokenizer(&self) -> &[u8] {
        &self.tokenizer
    }

    /// The bytes of its chat template.
    #[must_use]
    pub fn template(&self) -> &[u8] {
        &self.template
    }

    /// Number of weights, gains included; a tied head counts once.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        crate::load::format::parameters(&self.header)
    }

    /// Bytes that every position of a sequence takes in memory: its keys and values, of 16 bits.
    #[must_use]
    pub fn position_bytes(&self) -> u64 {
        4 * u64::from(self.header.shape.kv_width()) * self.network.layers() as u64
    }

    /// Says who follows grammars in this model's tokens.
    #[must_use]
    pub fn with_guides(self, guides: Arc<dyn Guides>) -> Self {
        Self { guides: Some(guides), ..self }
    }

    /// Whether a grammar can be followed.
    ///
    /// # Errors
    /// [`NoGuide`] saying why not.
    pub fn follows(&self, constraint: &Constraint) -> Result<(), NoGuide> {
        self.guide(constraint).map(drop)
    }

    /// Begins to follow a grammar.
    pub(crate) fn guide(&self, constraint: &Constraint) -> Result<Box<dyn Guide>, NoGuide> {
        let nobody = || NoGuide("nobody here follows grammars".to_owned());
        self.guides.as_ref().ok_or_else(nobody)?.follow(constraint)
    }

    /// Name, shape and scales.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }
}
