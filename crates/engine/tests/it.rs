//! The engine as its neighbours use it: model files in, the same bits out, whatever the road.

#[path = "it/pools.rs"]
mod pools;
#[path = "it/roads.rs"]
mod roads;
#[path = "it/slow.rs"]
mod slow;
