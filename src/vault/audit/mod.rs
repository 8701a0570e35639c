//! What happened to recordings, in a log that can only grow: who may be recorded for whom, when it
//! began and ended, who looked, what was granted, held and destroyed.
//!
//! Belongs here: events, lines, the tree over them, checkpoints, writing and checking. Does not
//! belong: deciding anything, and names, texts or pictures of people, which no event has a field
//! for.
//!
//! # Files
//! ```text
//! STORE/audit/log.jsonl     a line per event, each signed, each with the digest of the one before
//! STORE/audit/checkpoint    size and RFC 6962 root of the log, signed: C2SP tlog-checkpoint
//! STORE/audit/log.vkey      origin and public key of the log: C2SP vkey
//! STORE/audit/aside-ID/     a damaged log in whose place another came, as it was
//! AUDIT_KEY                 the secret half, outside the store, mode 0600
//! ```
//! Who keeps a copy of a checkpoint is a witness: what the log said up to there cannot be taken
//! back any more, not even by who has the key. Without one, a tail that was cut off cleanly
//! together with its checkpoint does not show.
//!
//! # When
//! A line is on disk before what it announces takes effect: a recording whose line cannot be
//! written does not begin, and nothing is destroyed whose line is missing.

mod error;
mod event;
mod inspect;
mod lines;
mod log;
mod note;
mod renew;
mod terms;
mod tree;
mod witness;

pub use error::{AuditError, Flaw};
pub use event::Event;
pub use inspect::Torn;
pub use lines::{Entry, entry_of};
pub use log::{AuditLog, AuditTrust, Checked, Written, check_log};
pub(super) use log::{Stretch, dropped};
pub(super) use note::signed_text;
pub use note::{AuditKey, AuditPublicKey, Checkpoint, Proof};
pub use renew::Renewal;
pub(super) use renew::Salvage;
pub use terms::{AccountChange, DestroyReason, Facts, PersonChange, Word};
pub use witness::{CHECKPOINT_FILE, Witness, checkpoints_in};
