//! What the box answers, for the description of the interface.
//!
//! Belongs here: shapes. Does not belong: making answers, of which many are the service's own words. The
//! tests hold every answer that they get from a running box against these: a member that is missing
//! here, or is of another kind, fails them.

#![expect(dead_code, reason = "shapes to describe; the answers are made elsewhere")]

mod office;
mod recordings;
mod status;

pub(super) use self::{
    office::{
        AcceptedKey, Challenge, Checked, EndedKey, EnrolledKey, Entered, HeldUntil, Holds,
        ListInForce, NotHeld, People, Registers, RequestOf, RequestsOf, Versions,
    },
    recordings::{
        About, AccessTo, Begun, Dropped, Ends, Files, Granted, Kept, Now, Prepared, Recordings,
    },
    status::{AuditPart, Cameras, FirstAccount, Logs, Preflight, Session, Status, Terms},
};
