//! Who is on the pupil list: read from CSV, checked, compared with the list before, kept. And who,
//! of the grown-ups, has which key: the [`directory`].
//!
//! Belongs here: the list's rows and their rules ([`list`]), reference photos and the one face that
//! counts in each ([`photo`], [`face`]), what a new list changes ([`change`]), and the store's
//! current list with its encrypted gallery ([`store`]). Does not belong: who is in a picture
//! (`vision`) and who may be shown (`veil`). Called by commands and by the recorder before its first
//! picture, on the caller's thread.
//!
//! Invariants: nothing here knows a name, and no text of a cell that might be one reaches an error
//! or a log; photos are never copied to the store; embeddings are on the disk only encrypted to a key
//! outside the store; a list with any problem is not loaded at all.

pub mod change;
mod date;
pub mod directory;
mod exif;
pub mod face;
pub mod fault;
mod gallery;
pub mod list;
pub mod photo;
pub mod registers;
pub mod seat;
pub mod store;
mod table;

pub use change::Changes;
pub use fault::{Fault, ListProblems, Notice, Position, Problem};
pub use list::{Draft, Entry, PupilList, Rules, Status};
pub use photo::Photo;
pub use seat::{Marker, Seat};

/// What the key of a list's version is derived for: see [`PupilList::version`].
pub const VERSION_KEY: &str = "classveil/pupil-list/v1";
