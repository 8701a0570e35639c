//! One integration binary: linking three native stacks is slow, so every promise is a module here.

mod architecture;
mod cli;
mod config;
mod encode;
mod support;
mod vision;
