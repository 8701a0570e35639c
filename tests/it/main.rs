//! One integration binary: linking three native stacks is slow, so every promise is a module here.

mod capture;
mod media;
