//! What is kept, for whom and how long: sealed segments, signed manifests, and the checks on both.
//!
//! Belongs here: the layout of a store, the key model, writing, recovering, checking and opening a
//! recording. Does not belong: pixels, encoders, clocks and settings; times are handed in.
//!
//! # Keys
//! A recording has its own age identity. Its secret half is encrypted to the recipients
//! (`key.age`) before the first segment exists and then dropped, so the machine that records can
//! only add segments and never read them. The box signs with an Ed25519 key of its own, whose
//! secret half stays outside the store.
//!
//! # Order of writing
//! A recording is made in a hidden folder and renamed into place whole: a folder that carries a
//! recording's id always has a manifest, a signature, a key and an open list of segments. Of each
//! segment the tracks file comes first: part file, fsync, rename. Then the segment: part file,
//! fsync, directory fsync (which also makes the tracks file's name durable), rename, directory
//! fsync, a line in `segments.jsonl`, fsync. At the end manifest and signature are written as part
//! files, synced, and renamed. [`recover()`] completes what a crash leaves between any two of these.
//!
//! # Locks
//! Who writes a recording holds an exclusive `flock` on its folder; who reads one, a shared lock.

pub mod access;
pub mod audit;
mod check;
mod digest;
mod error;
pub mod fsck;
pub mod index;
mod journal;
mod keys;
pub mod ledger;
mod manifest;
mod memo;
mod names;
mod open;
mod output;
mod parallel;
mod recover;
pub mod register;
pub mod renewal;
pub mod retention;
mod seal;
pub mod shelf;
pub mod sign;
mod store;
mod terms;
mod thread;
mod writer;

pub use check::{Checked, Trust, check};
pub use digest::{Digest, FileDigest};
pub use error::{Fault, VaultError};
pub use keys::{BoxKey, BoxPublicKey};
pub use manifest::{
    ClockChange, ClockWhat, Continues, Course, Gap, GapWhy, ListChange, Manifest, Overload,
    Segment, State,
};
pub use memo::Memo;
pub use names::Names;
pub use open::{Joined, Opened, open};
pub use output::{Existing, Output};
pub use recover::{Recovered, Recovery, recover, recover_by};
pub use retention::{RetentionRecord, SegmentCounts, SelfCheck};
pub use seal::{
    BadRecipient, Identities, Recipient, encrypt_to, is_locked, unlock, write_identity,
};
pub use store::{prepare, read_small};
pub use terms::{BadLegalBasis, BadPurpose, LegalBasis, Purpose};
pub use thread::{Finished, SegmentSender, WriterThread};
pub use writer::{Details, NewRecording, Outcome, RecordingWriter, Sealed, SegmentFile};
