//! classveil records classroom lessons for video coaching of teachers and veils every pupil who
//! may not be seen before a frame is encoded.
//!
//! # The way of a frame
//! [`capture`] takes a picture from a file or camera and copies it once into a slot of
//! [`frame`]'s pool. [`vision`] says where faces are and whom they resemble. [`veil`] holds the
//! picture back for a moment, decides who may be seen, and veils everyone else on the raw planes;
//! only then does the picture have the type that [`encode`] accepts. [`encode`] makes H.264 and
//! complete MP4 segments of it in memory; [`vault`] seals each for people whose private keys this
//! machine does not have, and writes it down together with its purpose and its end.
//!
//! Around that way: [`people`] knows the pupil list, [`appliance`] runs one recording through the
//! rooms, [`config`] reads the operator's file, [`cli`] is what is typed, [`api`] what comes over the
//! network, [`eval`] measures how well faces are hidden.
//!
//! A room imports [`frame`], [`units`], [`error`] and rooms before it, never a later one, and
//! neither [`config`] nor [`clock`]: settings and time are handed in.

pub mod api;
pub mod appliance;
pub mod capture;
pub mod cli;
pub mod clock;
pub mod config;
pub mod encode;
pub mod error;
pub mod eval;
pub mod frame;
pub mod people;
pub mod shutdown;
pub mod units;
pub mod vault;
pub mod veil;
pub mod vision;
