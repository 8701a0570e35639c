//! What is worth a line in the log, and what a line may hold: pseudonyms, digests, counts, times
//! and words of this program. There is no field for a name, a text somebody typed, a path or a
//! picture, so nobody ever has to be removed from the log.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    super::{
        Digest, LegalBasis, Manifest, NewRecording, Purpose, Recipient,
        access::{Ask, Confirmed, Decision, ExportFor, Role},
        ledger::Ledger,
        register::Name,
    },
    AuditPublicKey, Renewal,
    terms::{AccountChange, DestroyReason, Facts, PersonChange, Word},
};
use crate::units::{AccountId, CameraId, ClassId, PersonId, Pts, RecordingId};

/// One event. Its name in the log is its `kind`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Event {
    /// The log begins: always and only line 1.
    Opened {
        /// Origin and key of the log.
        key: AuditPublicKey,
        /// Id of the box's signing key.
        box_key: String,
        /// Recordings that the store held already.
        recordings: u64,
        /// The program and its version.
        software: String,
        /// The damaged log in whose place this one stands.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        renews: Option<Box<Renewal>>,
    },
    /// A line of the log before, as its key signed it. It counts for what it said, when it said it.
    Kept {
        /// The line.
        line: String,
    },
    /// A register that nothing vouches for any more begins anew.
    SetAside {
        /// Its file.
        register: Word,
    },
    /// Somebody looked into what a damaged log leaves in doubt about a recording: it is handed out again.
    Cleared {
        /// The recording.
        recording: RecordingId,
        /// The privacy officer.
        by: PersonId,
    },
    /// A last line that a crash had torn was cut away.
    Repaired {
        /// Its length.
        bytes: u64,
        /// Its digest.
        sha256: Digest,
    },
    /// A recording is about to begin, for these people and until then.
    Armed {
        /// The recording.
        recording: RecordingId,
        /// When it must be gone.
        delete_by: Timestamp,
        /// The class.
        class: Option<ClassId>,
        /// The teacher.
        teacher: Option<PersonId>,
        /// The coach.
        coach: Option<PersonId>,
        /// What for.
        purpose: Purpose,
        /// On what ground.
        legal_basis: LegalBasis,
        /// Who is veiled.
        policy: String,
        /// How much of a person.
        region: String,
        /// Whether sound is kept.
        audio: bool,
        /// SHA-256 of each public key that can open it.
        recipients: Vec<Digest>,
    },
    /// A reason not to record was waived.
    Waiver {
        /// The recording it was waived for; none where it is for all.
        recording: Option<RecordingId>,
        /// What was waived.
        code: Word,
        /// By whom.
        by: PersonId,
        /// Digest of the reason given.
        reason: Digest,
    },
    /// The pupil list that a recording goes by.
    ListVersion {
        /// The recording.
        recording: RecordingId,
        /// Keyed digest of the list.
        version: String,
    },
    /// Another pupil list is in force.
    ListLoaded {
        /// Keyed digest of the list.
        version: String,
        /// Classes in which somebody refuses who did not before. Their recordings that were begun
        /// with another list are withheld from here on, until they are veiled anew.
        late: Vec<ClassId>,
    },
    /// A recording that was veiled anew takes the place of another, which goes.
    Adopted {
        /// The recording that comes.
        recording: RecordingId,
        /// The one that goes.
        replaces: RecordingId,
        /// `manifest.json` as the box signed it.
        manifest: Digest,
        /// The key holder who veiled it anew.
        by: PersonId,
        /// Digest of the key holder's signed statement.
        statement: Digest,
    },
    /// The recording's folder is there; the first frame may be taken.
    Started {
        /// The recording.
        recording: RecordingId,
        /// `manifest.json` as it was signed at the start.
        manifest: Digest,
    },
    /// Somebody in the room had the last of a recording dropped: nothing that `camera` saw from then
    /// on is kept.
    Dropped {
        /// The recording.
        recording: RecordingId,
        /// The camera.
        camera: CameraId,
        /// From where on the recording's timeline, in nanoseconds; whole segments go.
        from_ns: Pts,
        /// To where.
        to_ns: Pts,
    },
    /// The recording is complete and signed.
    Sealed {
        /// The recording.
        recording: RecordingId,
        /// `manifest.json`, which lists the digests of all segments and of all reasons.
        manifest: Digest,
        /// Segments of all cameras.
        segments: u64,
        /// Frames in them.
        frames: u64,
        /// Frames veiled whole.
        frames_veiled_whole: u64,
        /// Tracks that were veiled at any time.
        tracks_veiled: u64,
        /// Tracks that were shown at any time.
        tracks_shown: u64,
    },
    /// A recording that had been cut off was signed with what is whole.
    Recovered {
        /// The recording.
        recording: RecordingId,
        /// `manifest.json` as it was signed then.
        manifest: Digest,
        /// Segments of all cameras.
        segments: u64,
    },
    /// A recording was handed to somebody who may open it.
    Viewed {
        /// The recording.
        recording: RecordingId,
        /// Who.
        person: PersonId,
    },
    /// Somebody may open a recording.
    Granted {
        /// The recording.
        recording: RecordingId,
        /// Who.
        person: PersonId,
        /// Until when.
        until: Timestamp,
        /// The teacher who granted it.
        by: PersonId,
        /// Digest of the signed statement.
        statement: Digest,
    },
    /// Somebody may not open a recording any more.
    Revoked {
        /// The recording.
        recording: RecordingId,
        /// Who.
        person: PersonId,
        /// By whom; none where it ran out.
        by: Option<PersonId>,
    },
    /// The follow-up talk was closed, which sets an earlier deadline.
    TalkClosed {
        /// The recording.
        recording: RecordingId,
        /// Who closed it.
        by: PersonId,
        /// The deadline from now on.
        delete_by: Timestamp,
        /// What they signed; none where somebody at the box said who it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        statement: Option<String>,
    },
    /// Destruction is postponed at the request of somebody recorded; nobody may open it meanwhile.
    Held {
        /// The recording.
        recording: RecordingId,
        /// Who is recorded and asked for it.
        requested_by: PersonId,
        /// The privacy officer who approved it.
        approved_by: PersonId,
        /// Until when.
        until: Timestamp,
        /// Digest of the reason given.
        reason: Digest,
    },
    /// A hold ends.
    Released {
        /// The recording.
        recording: RecordingId,
        /// Who ended it.
        by: PersonId,
    },
    /// Somebody who was recorded asks for something. What is to be restricted is withheld from here
    /// on.
    Requested {
        /// Number of the request.
        request: u64,
        /// What is asked for.
        ask: Ask,
        /// Who asks.
        by: PersonId,
        /// About which recordings.
        recordings: Vec<RecordingId>,
        /// By when it has to be answered.
        due: Timestamp,
        /// Digest of the register from now on.
        register: Digest,
    },
    /// A request is answered.
    Answered {
        /// Number of the request.
        request: u64,
        /// What was asked for.
        ask: Ask,
        /// What becomes of it.
        decision: Decision,
        /// By whom.
        by: PersonId,
        /// Digest of the written reason.
        reason: Option<Digest>,
        /// About which recordings.
        recordings: Vec<RecordingId>,
        /// Digest of the register from now on.
        register: Digest,
    },
    /// A key holder made an export of a recording.
    Exported {
        /// The recording.
        recording: RecordingId,
        /// The export, which is not in the store.
        export: RecordingId,
        /// What it is for.
        purpose: ExportFor,
        /// The key holder.
        by: PersonId,
        /// Digests of the public keys that can open it.
        recipients: Vec<Digest>,
        /// When it must be gone.
        delete_by: Timestamp,
        /// Digest of the key holder's signed statement.
        statement: Digest,
    },
    /// A recording is destroyed from here on: this line comes before the first change.
    Destroyed {
        /// The recording.
        recording: RecordingId,
        /// Why.
        reason: DestroyReason,
        /// The deadline that counted.
        deadline: Timestamp,
        /// What it was.
        facts: Facts,
    },
    /// The keys are gone, and a certificate says so.
    Certified {
        /// The recording.
        recording: RecordingId,
        /// Digest of the certificate.
        certificate: Digest,
    },
    /// Files of a destroyed recording were there again, such as from a backup, and go again.
    Returned {
        /// The recording.
        recording: RecordingId,
        /// Whether a key was among them.
        key: bool,
    },
    /// The configuration in force is another.
    ConfigurationChanged {
        /// Digest of what is in force now.
        sha256: Digest,
    },
    /// Somebody came into the directory of people, left it, or is about to enrol a key.
    PersonChanged {
        /// Who.
        person: PersonId,
        /// What they are to recordings.
        role: Role,
        /// What happened.
        change: PersonChange,
        /// Digest of the directory from now on.
        directory: Digest,
    },
    /// A person's key is another.
    KeyChanged {
        /// Whose.
        person: PersonId,
        /// Digest of the public key that ends.
        old: Option<Digest>,
        /// Digest of the public key that begins.
        new: Option<Digest>,
        /// From when on.
        from: Timestamp,
        /// How it was made sure that the new one is theirs.
        confirmed: Option<Confirmed>,
        /// Who approved it by signature; with the old key, the owner.
        approved_by: Vec<PersonId>,
        /// Digest of the directory from now on.
        directory: Digest,
    },
    /// A teacher accepted somebody's key for the teacher's own recordings.
    KeyAccepted {
        /// Whose key.
        person: PersonId,
        /// Digest of the public key.
        key: Digest,
        /// The teacher.
        by: PersonId,
        /// Digest of the signed statement.
        statement: Digest,
        /// Digest of the directory from now on.
        directory: Digest,
    },
    /// Encrypted files were copied out, without keys.
    BackedUp {
        /// Recordings.
        recordings: u64,
        /// Bytes.
        bytes: u64,
    },
    /// A check of the store set something right.
    StoreRepaired {
        /// How many things.
        repairs: u64,
    },
    /// Something was entered into a register of the store.
    Registered {
        /// Which.
        register: Ledger,
        /// The number of its line there.
        line: u64,
        /// Digest of the line.
        sha256: Digest,
    },
    /// Somebody may log in, may not any more, or does so with another password.
    AccountChanged {
        /// The account.
        account: AccountId,
        /// Its role.
        role: Word,
        /// Who it is among those who are recorded or look.
        person: Option<PersonId>,
        /// What happened.
        change: AccountChange,
    },
    /// Somebody at the box said that its clock is right: as it is at this line, for as long as the
    /// machine runs and nobody sets it.
    ClockConfirmed {
        /// Which run of the machine it is.
        boot: Digest,
        /// For how long it had run, in milliseconds.
        running_ms: u64,
        /// The machine's user who said so; none where that is not known.
        uid: Option<u32>,
    },
    /// Something went wrong.
    Fault {
        /// The recording it happened to.
        recording: Option<RecordingId>,
        /// What.
        what: Word,
    },
}

impl Event {
    /// A recording as it is about to begin.
    #[must_use]
    pub fn armed(new: &NewRecording) -> Self {
        let recipients = new.recipients.iter();
        Self::Armed {
            recording: new.id,
            delete_by: new.delete_by,
            class: new.class.clone(),
            teacher: new.teacher.clone(),
            coach: new.coach.clone(),
            purpose: new.purpose,
            legal_basis: new.legal_basis,
            policy: new.policy.clone(),
            region: new.region.clone(),
            audio: new.audio,
            recipients: recipients.map(|r| Digest::of(r.to_string().as_bytes())).collect(),
        }
    }

    /// A recording that was veiled anew as it is about to come into the store.
    pub(in super::super) fn armed_again(manifest: &Manifest) -> Self {
        Self::Armed {
            recording: manifest.recording,
            delete_by: manifest.delete_by,
            class: manifest.class.clone(),
            teacher: manifest.teacher.clone(),
            coach: manifest.coach.clone(),
            purpose: manifest.purpose,
            legal_basis: manifest.legal_basis,
            policy: manifest.policy.clone(),
            region: manifest.region.clone(),
            audio: manifest.audio,
            recipients: manifest.recipients.iter().map(Recipient::digest).collect(),
        }
    }

    /// The register that the event put in force, and its digest.
    pub(in super::super) fn register(&self) -> Option<(Name, Digest)> {
        match self {
            Self::PersonChanged { directory, .. }
            | Self::KeyChanged { directory, .. }
            | Self::KeyAccepted { directory, .. } => Some((Name::People, *directory)),
            Self::Requested { register, .. } | Self::Answered { register, .. } => {
                Some((Name::Requests, *register))
            }
            _ => None,
        }
    }

    /// The recording that the event is about.
    #[must_use]
    pub fn recording(&self) -> Option<RecordingId> {
        match self {
            Self::Armed { recording, .. }
            | Self::ListVersion { recording, .. }
            | Self::Started { recording, .. }
            | Self::Dropped { recording, .. }
            | Self::Sealed { recording, .. }
            | Self::Recovered { recording, .. }
            | Self::Viewed { recording, .. }
            | Self::Granted { recording, .. }
            | Self::Revoked { recording, .. }
            | Self::TalkClosed { recording, .. }
            | Self::Held { recording, .. }
            | Self::Released { recording, .. }
            | Self::Cleared { recording, .. }
            | Self::Destroyed { recording, .. }
            | Self::Certified { recording, .. }
            | Self::Adopted { recording, .. }
            | Self::Exported { recording, .. }
            | Self::Returned { recording, .. } => Some(*recording),
            Self::Waiver { recording, .. } | Self::Fault { recording, .. } => *recording,
            Self::Opened { .. }
            | Self::Kept { .. }
            | Self::SetAside { .. }
            | Self::Repaired { .. }
            | Self::ConfigurationChanged { .. }
            | Self::ListLoaded { .. }
            | Self::PersonChanged { .. }
            | Self::KeyChanged { .. }
            | Self::KeyAccepted { .. }
            | Self::Requested { .. }
            | Self::Answered { .. }
            | Self::BackedUp { .. }
            | Self::AccountChanged { .. }
            | Self::ClockConfirmed { .. }
            | Self::Registered { .. }
            | Self::StoreRepaired { .. } => None,
        }
    }
}
