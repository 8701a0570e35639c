//! Measuring what is promised: tools that anyone can run against this program.
//!
//! Belongs here: what attacks, scores and compares. Does not belong: anything a recording needs.

pub mod attack;
