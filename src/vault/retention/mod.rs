//! How long a recording lives, and how it dies: deadlines, holds, destruction, and the proof of it.
//!
//! Belongs here: the retention record inside each segment, what to do with which recording at a
//! given time ([`plan()`]), doing it ([`apply()`]), certificates. Does not belong: clocks and
//! settings, which are handed in, and requests of people, which end in a hold or a deadline here.
//!
//! # Deadlines
//! A recording's own deadline is set at its start, and written into its manifest, into every
//! segment and into the log. Closing the follow-up talk sets an earlier one. The earliest that is
//! found anywhere counts; a configuration that says something else later changes nothing. A hold
//! moves no deadline: it withholds the recording from everyone and postpones its destruction.
//!
//! # Destruction
//! 1. A `destroyed` line in the log, on disk.
//! 2. The folder is renamed to `.ID.gone`: from here on nobody finds it.
//! 3. `key.age` and everything in `grants/` is overwritten, synced, unlinked; the folder is synced.
//!    Without these keys the segments are noise, wherever copies of them are.
//! 4. A certificate, signed, and a `certified` line with its digest.
//! 5. Segments, manifest and the folder are removed.
//!
//! A crash at any point is finished by the next [`apply()`]: the log says what has to go, the name
//! of the folder how far it came. A destroyed recording whose files are there again, such as from a
//! backup, goes again.

mod apply;
mod certificate;
mod error;
mod hold;
mod plan;
mod recall;
mod record;
mod survey;

pub use apply::{Applied, apply};
pub(super) use certificate::FOLDER as CERTIFICATES;
pub use certificate::{Certificate, CheckedCertificate, check_certificate};
pub use error::RetentionError;
pub use hold::{NewHold, TalkOver, close_talk, close_talk_signed, hold, release};
pub use plan::{
    Action, Clock, Deadline, Hold, Known, Life, Policy, Reason, SetBy, Verdict, Why, Withheld, plan,
};
pub use recall::{Cause, Recall, recalls, recalls_of};
pub(super) use record::joined;
pub use record::{RetentionRecord, SegmentCounts, SelfCheck};
pub(super) use survey::{GONE, in_doubt};
pub use survey::{look_up, survey};
