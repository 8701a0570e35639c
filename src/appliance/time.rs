//! Whether the machine's clock can be relied on. Belongs here: asking the system. Does not belong:
//! what follows from the answer, which is the business of whoever acts on a deadline.

use std::process::{Command, Stdio};

/// Whether the kernel reports its clock as synchronised. Where nobody can say, it is not.
///
/// Asks `timedatectl`, which reads the kernel's own state whatever program keeps the time, because
/// the system call itself has no safe wrapper.
#[must_use]
pub fn synchronised() -> bool {
    let answer = Command::new("timedatectl")
        .args(["show", "--property=NTPSynchronized", "--value"])
        .stdin(Stdio::null())
        .output();
    answer.is_ok_and(|output| output.status.success() && output.stdout.trim_ascii() == b"yes")
}
