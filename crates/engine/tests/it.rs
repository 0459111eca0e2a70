//! The engine as its neighbours use it: model files in, the same bits out, whatever the road.

#[path = "it/answers.rs"]
mod answers;
#[path = "it/chunks.rs"]
mod chunks;
#[path = "it/company.rs"]
mod company;
#[path = "it/conversion.rs"]
mod conversion;
#[path = "it/embed.rs"]
mod embed;
#[path = "it/families.rs"]
mod families;
#[path = "it/files.rs"]
mod files;
#[path = "it/gguf.rs"]
mod gguf;
#[path = "it/gguf_families.rs"]
mod gguf_families;
#[path = "it/golden.rs"]
mod golden;
#[path = "it/guides.rs"]
mod guides;
#[path = "it/packed.rs"]
mod packed;
#[path = "it/pieces.rs"]
mod pieces;
#[path = "it/pools.rs"]
mod pools;
#[path = "it/relatives.rs"]
mod relatives;
#[path = "it/roads.rs"]
mod roads;
#[path = "it/slow.rs"]
mod slow;
#[path = "it/sources.rs"]
mod sources;
#[path = "it/vectors.rs"]
mod vectors;
