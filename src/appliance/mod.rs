//! One recording through all rooms, and the machine it runs on.
//!
//! Belongs here: the threads that carry frames from room to room, how a recording starts and ends,
//! what the process locks and forbids itself. Does not belong: any rule about who is shown
//! (`veil`), what is kept (`vault`), or how it is asked for (`cli`).

mod again;
mod asked;
mod bodies;
pub mod button;
mod chain;
pub mod codes;
pub mod control;
mod courier;
mod crew;
mod cut;
pub mod desk;
mod dropping;
mod drops;
mod ending;
mod facts;
mod handover;
mod hardening;
mod idle;
pub mod indicator;
mod ladder;
pub mod lesson;
mod lists;
mod lookout;
mod notify;
mod objection;
pub mod openers;
mod over;
mod parts;
pub mod preflight;
pub mod preview;
mod pulse;
mod reasons;
mod recorder;
pub mod recording;
mod redial;
mod reload;
pub mod retain;
pub mod roster;
pub mod service;
mod settings;
mod status;
mod steward;
mod take;
mod tally;
pub mod time;

pub use crate::veil::place::Places as PicturePlaces;
pub use again::{AgainError, Workshop};
pub use bodies::veiled_bodies;
pub use chain::ChainError;
pub use hardening::harden;
pub use ladder::{Load, Rung};
pub use lists::{ListSender, Lists, NewList, lists};
pub use parts::{BadParts, Parts};
pub use recorder::{
    Around, CameraReport, Plan, RecordError, Report, Started, places, record, record_all,
};
pub use settings::{encode_settings, retention_policy, watch_settings};
pub use take::Take;
pub use tally::Progress;
