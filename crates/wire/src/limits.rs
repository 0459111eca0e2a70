//! Every bound on what is read from outside, in one place, so that a reader can add them up.

/// Longest prompt of a job, in tokens.
pub const PROMPT_TOKENS_MAX: usize = 1 << 17;
/// Longest answer of a job, in tokens.
pub const ANSWER_TOKENS_MAX: usize = 1 << 17;
/// Most stop sequences in a job.
pub const STOP_SEQUENCES_MAX: usize = 8;
/// Longest stop sequence, in tokens.
pub const STOP_TOKENS_MAX: usize = 32;
/// Longest grammar of a job, in bytes.
pub const GRAMMAR_BYTES_MAX: usize = 1 << 18;
/// Largest temperature, in thousandths.
pub const TEMPERATURE_MILLI_MAX: u32 = 100_000;
/// Most tokens between two checkpoints.
pub const CHECKPOINT_STEP: u32 = 16;
/// Longest model name in an offer, in bytes.
pub const MODEL_NAME_BYTES_MAX: usize = 64;
/// Largest receipt with its signature, in bytes.
pub const RECEIPT_BYTES_MAX: usize = 512;
/// Largest frame of a session, in bytes.
pub const FRAME_BYTES_MAX: usize = 1 << 20;
/// Most offers one provider may send at once.
pub const OFFERS_MAX: usize = 64;
/// Longest words about a channel in a frame, in bytes; what they mean, the ledger says.
pub const DEAL_BYTES_MAX: usize = 4096;
/// Longest voucher in a frame, in bytes; what it is, the ledger says.
pub const VOUCHER_BYTES_MAX: usize = 512;
/// Longest reason of a refusal, in bytes.
pub const REASON_BYTES_MAX: usize = 512;
/// Most messages in the opening of a receipt.
pub const MESSAGES_MAX: usize = 4096;
/// Longest text of one message in an opening, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Largest receipt or evidence file, in bytes.
pub const BUNDLE_BYTES_MAX: usize = 16 << 20;
