//! One integration binary: linking three native stacks is slow, so every promise is a module here.

// Samples and box edges of test pictures are small numbers that fit.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers")]
// clippy knows test functions, not the functions they call.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

mod api;
mod architecture;
mod attack;
mod audit;
mod capture;
mod cli;
mod config;
mod crash;
mod encode;
mod eval;
mod exports;
mod eyes;
mod faults;
mod fsck;
mod grants;
mod index;
mod keys;
mod kills;
mod late;
mod leaks;
mod markers;
mod marks;
mod media;
mod package;
mod people;
mod privacy;
mod record;
mod renewal;
mod requests;
mod retain;
mod retention;
mod reveil;
mod rtsp;
mod scene;
mod seats;
mod service;
mod support;
mod ui;
mod vault;
mod vision;
