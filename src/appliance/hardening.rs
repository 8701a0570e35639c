//! What the process forbids itself before the first picture: swap and core dumps hold frames too.

use rustix::{
    mm::{MlockAllFlags, mlockall},
    process::{
        DumpableBehavior, Resource, Rlimit, geteuid, getrlimit, set_dumpable_behavior, setrlimit,
    },
};

/// Forbids core dumps, and keeps memory out of swap where the system allows it. What it refuses is
/// logged, not fatal: an ordinary user may lock 8 MiB only, and a machine without swap needs none.
pub fn harden() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "core dumps could not be limited");
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "core dumps could not be switched off");
    }
    // With a limit, locking the future would make later allocations fail in the middle of a lesson.
    let limited = getrlimit(Resource::Memlock).current.is_some() && !geteuid().is_root();
    if limited {
        tracing::info!("memory is not locked: the limit on locked memory is set for this user");
        return;
    }
    // On fault: only pages that are used count.
    let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    if let Err(error) = mlockall(flags) {
        tracing::warn!(%error, "memory could not be locked; switch swap off on this machine");
    }
}
