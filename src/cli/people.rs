//! `classveil people`: who has which key, and how a key comes to count.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;

use super::{
    Failure,
    identity::Passphrase,
    output, paths,
    store::{AtStore, Opened, Which},
};
use crate::{
    appliance::preflight::today,
    clock::{Clock, SystemClock},
    error::{ErrorKind, advice},
    people::directory::{
        Announce, Answer, Directory, DirectoryError, Key, KeyApproval, NewKey, make_answer,
        new_code, new_word, roles,
    },
    units::PersonId,
    vault::{
        Existing, Identities, Output, Recipient,
        access::{Confirmed, Role, Roles},
        audit::{AuditError, AuditTrust, Entry, check_log},
        sign::{PersonKey, Signed},
    },
};

/// Longest answer that is read.
const ANSWER_BYTES: u64 = 64 << 10;

/// The directory of people: who has which public key, and how it was made sure.
///
/// Where a store has one, recordings are sealed to the keys of their teacher and of the coach whom
/// the teacher accepted, and to nobody who is not in it. Keys are made by their owners, never on the
/// box, and no administrator alone can replace one: enrol the first privacy officer's and the teachers'
/// keys with their owners before anybody else's.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Add(Add),
    Invite(Invite),
    Challenge(Challenge),
    Answer(AnswerArgs),
    Enrol(Enrol),
    ReplaceKey(ReplaceKey),
    Approve(Approve),
    Accept(Accept),
    EndKey(EndKey),
    Remove(Remove),
    List(List),
    Export(Export),
}

impl AtStore {
    /// Changes the directory; `edit` is told the present.
    fn change<T>(
        &self,
        edit: impl FnOnce(&mut Directory, Timestamp) -> Result<(T, Announce), DirectoryError>,
    ) -> Result<T, Failure> {
        let Opened { store, log, .. } = self.open()?;
        let now = SystemClock.now();
        Ok(Directory::change(&store, &log, now, |directory| edit(directory, now))?)
    }
}

/// Add somebody, and print a one-time code for their first key.
///
/// The code is shown once and kept as a digest. Hand it over in person, not by mail: it stands for
/// the person until the key is enrolled. It can be used once, within seven days.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil people add t-07 --role teacher --store /srv/classveil\n  \
    classveil people add fg-01 --role privacy-officer --store /srv/classveil --json\n\n\
    Roles: teacher, coach and supervisor may be given recordings; parent, privacy-officer, manager \
    and\nadmin never are.")]
struct Add {
    /// Pseudonym; never a name. It is used once.
    #[arg(value_name = "ID")]
    person: PersonId,
    /// teacher, coach, supervisor, parent, privacy-officer, manager or admin.
    #[arg(long, value_name = "ROLE")]
    role: Role,
    #[command(flatten)]
    of: AtStore,
}

/// Print another one-time code, for who lost the first or needs another key.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil people invite t-07 --store /srv/classveil\n  \
    classveil people invite c-02 --store /srv/classveil --json\n\n\
    The code before does not count any more.")]
struct Invite {
    /// Pseudonym.
    #[arg(value_name = "ID")]
    person: PersonId,
    #[command(flatten)]
    of: AtStore,
}

/// Make a challenge for a key: an age file that only its owner can open.
///
/// The owner tells the one-time code and the public key, and gets the file. Who cannot open it does
/// not hold the key. Without --code the key can only be taken in by the signature of an older one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil people challenge t-07 --code 7KQ2-M9XT-4BZH-R3WA --recipient age1... \\\n      \
      --output challenge.age --store /srv/classveil\n  \
    classveil people challenge t-07 --recipient age1... --output challenge.age --store STORE")]
struct Challenge {
    /// Pseudonym.
    #[arg(value_name = "ID")]
    person: PersonId,
    /// The public key.
    #[arg(long, value_name = "age1...")]
    recipient: Recipient,
    /// The one-time code that the owner was given.
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// The new file for the challenge.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    of: AtStore,
}

/// Answer a challenge, on the owner's own computer. Needs no store.
///
/// Stock age can do it, too: `age -d -i teacher.key -o answer.txt challenge.age`. Only what this
/// command makes carries the signing key, which a teacher needs to grant access.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil people answer challenge.age --identity teacher.key --output answer.json\n  \
    classveil people answer challenge.age --identity new.key --older teacher.key -o answer.json \\\n      \
      --json")]
struct AnswerArgs {
    /// The challenge.
    #[arg(value_name = "FILE")]
    challenge: PathBuf,
    /// Your secret key, made by `classveil keygen` or `age-keygen`.
    #[arg(short, long, value_name = "FILE")]
    identity: PathBuf,
    #[command(flatten)]
    passphrase: Passphrase,
    /// Your key that counts already, which signs for the new one.
    #[arg(long, value_name = "FILE")]
    older: Option<PathBuf>,
    /// The new file for the answer.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// How a key comes to count.
#[derive(Debug, clap::Args)]
struct Proof {
    /// What the owner sent: made by `classveil people answer`, or the challenge opened by stock age.
    #[arg(long, value_name = "FILE")]
    answer: PathBuf,
    /// How it was made sure that the fingerprint is theirs: in-person, phone, video or letter.
    #[arg(long, value_name = "HOW")]
    confirmed: Confirmed,
    /// A signed approval, where no older key signed; may be given several times.
    #[arg(long = "approval", value_name = "FILE")]
    approvals: Vec<PathBuf>,
}

/// Take a key in, once its owner answered the challenge.
///
/// A first key counts at once. A further one counts at once if an older key signed it; else it takes
/// the signed approvals of a teacher and of the privacy officer (of a teacher's key: of the officer),
/// each with a key that has counted for 72 hours, and counts 72 hours later. A second privacy officer's
/// first key, or an officer's further one that no older key signed, takes another officer's approval
/// or, where there is none, every teacher's. Three keys at most. Compare the fingerprint that is printed
/// with the owner's.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil people enrol t-07 --answer answer.json --confirmed in-person --store /srv/classveil\n  \
    classveil people enrol c-02 --answer answer.txt --confirmed phone --store STORE \\\n      \
      --approval t-07.note --approval fg-01.note\n\n\
    The fingerprint by stock tools: printf %s age1... | sha256sum, the first 32 digits.")]
struct Enrol {
    /// Pseudonym.
    #[arg(value_name = "ID")]
    person: PersonId,
    #[command(flatten)]
    proof: Proof,
    #[command(flatten)]
    of: AtStore,
}

/// Replace a key: the old one ends when the new one begins.
///
/// At once with the old key's signature (`classveil people answer --older FILE`). Where it is lost:
/// with a new one-time code, the signed approvals of a teacher and of the privacy officer (but not
/// the owner's own; see `classveil people enrol`), and after 72 hours, during which `classveil record`
/// announces it. Recordings that exist stay closed to the new key.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil people replace-key t-07 --old age1... --answer answer.json --confirmed in-person \\\n      \
      --store /srv/classveil\n  \
    classveil people replace-key t-07 --old age1... --answer answer.json --confirmed in-person \\\n      \
      --approval fg-01.note --store /srv/classveil")]
struct ReplaceKey {
    /// Pseudonym.
    #[arg(value_name = "ID")]
    person: PersonId,
    /// The public key that ends.
    #[arg(long, value_name = "age1...")]
    old: Recipient,
    #[command(flatten)]
    proof: Proof,
    #[command(flatten)]
    of: AtStore,
}

/// Sign that a key is somebody's, on your own computer. Needs no store.
///
/// A teacher does so to let a coach open the teacher's recordings from now on; teacher and privacy
/// officer do so where a key was lost. Compare the key with the other person before you sign.
///
/// A teacher who vouches for a lost key's successor accepts it with the same signature for the teacher's
/// own recordings: a coach can open with it those that begin once it counts.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "classveil people approve ID --recipient AGE1 --by ID --identity FILE --output FILE",
    after_help = "Examples:\n  \
    classveil people approve c-02 --recipient age1... --by t-07 --identity teacher.key \\\n      \
      --output c-02.note\n  \
    classveil people approve t-07 --recipient age1... --by fg-01 --identity officer.key -o t-07.note"
)]
struct Approve {
    /// Pseudonym of whose key it is.
    #[arg(value_name = "ID")]
    person: PersonId,
    /// The public key.
    #[arg(long, value_name = "age1...")]
    recipient: Recipient,
    /// Your own pseudonym.
    #[arg(long, value_name = "ID")]
    by: PersonId,
    /// Your secret key, made by `classveil keygen` or `age-keygen`.
    #[arg(short, long, value_name = "FILE")]
    identity: PathBuf,
    #[command(flatten)]
    passphrase: Passphrase,
    /// The new file for the statement.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Take in a teacher's signed acceptance of somebody's key.
///
/// From then on that key is among the recipients of the teacher's recordings, where it is the
/// coach's.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil people accept c-02.note --store /srv/classveil\n  \
    classveil people accept c-02.note --store /srv/classveil --json")]
struct Accept {
    /// The statement, made by `classveil people approve`.
    #[arg(value_name = "FILE")]
    statement: PathBuf,
    #[command(flatten)]
    of: AtStore,
}

/// End a key at once: nothing more is sealed to it, and nothing it signs counts.
///
/// For a key that is lost or was copied, and to stop a replacement that nobody asked for. What is
/// sealed to it already it still opens.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil people end-key t-07 --recipient age1... --store /srv/classveil\n  \
    classveil people end-key t-07 --recipient age1... --store /srv/classveil --json")]
struct EndKey {
    /// Pseudonym.
    #[arg(value_name = "ID")]
    person: PersonId,
    /// The public key.
    #[arg(long, value_name = "age1...")]
    recipient: Recipient,
    #[command(flatten)]
    of: AtStore,
}

/// Remove somebody: all their keys end at once. The pseudonym is not used again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil people remove c-02 --store /srv/classveil\n  \
    classveil people remove c-02 --store /srv/classveil --json")]
struct Remove {
    /// Pseudonym.
    #[arg(value_name = "ID")]
    person: PersonId,
    #[command(flatten)]
    of: AtStore,
}

/// Show who is in the directory, with every key, its fingerprint and who accepted it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil people list --store /srv/classveil\n  \
    classveil people list --store /srv/classveil --json\n\n\
    Exit codes: 0 shown, 65 the directory is not the one that the audit log names, 66 there is none.")]
struct List {
    #[command(flatten)]
    of: Which,
}

/// Write the directory to a file for a teacher's own computer, signed by the box.
///
/// With it and a copy of a recording's folder `classveil grant --people FILE` works where there is no
/// store: no key of a person has to come near the box. It holds public keys and pseudonyms, and no
/// one-time code. Hand out a new one when keys change.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil people export --output school.people --store /srv/classveil\n  \
    head -n 1 school.people > p.json; tail -n +2 school.people > p.json.minisig\n  \
    minisign -Vm p.json -p box.pub          # stock minisign checks it\n\n\
    Exit codes: 0 written, 65 the directory is not the one that the audit log names, 66 there is none, \
    78 the file exists.")]
struct Export {
    /// The new file.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    of: AtStore,
}

#[derive(Serialize)]
struct Exported<'a> {
    path: &'a Path,
    at: Timestamp,
    people: usize,
}

fn export(args: &Export) -> Result<(), Failure> {
    let Opened { store, log, key, .. } = &args.of.open()?;
    let directory = directory(store, &log.entries()?)?;
    let at = SystemClock.now();
    write_new(&args.output, directory.carry(key, at)?.as_bytes())?;
    let people = directory.people().len();
    if args.of.at.json {
        output::json(&Exported { path: &args.output, at, people });
    } else {
        output::line(format_args!("{}: {people} people", args.output.display()));
    }
    Ok(())
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::Add(args) => add(args),
        Command::Invite(args) => {
            let code = new_code()?;
            args.of.change(|directory, now| directory.invite(&args.person, &code, now))?;
            say_code(&args.of, &args.person, &code);
            Ok(())
        }
        Command::Challenge(args) => challenge(args),
        Command::Answer(args) => answer(args),
        Command::Enrol(args) => enrol(&args.of, &args.person, None, &args.proof),
        Command::ReplaceKey(args) => enrol(&args.of, &args.person, Some(&args.old), &args.proof),
        Command::Approve(args) => approve(args),
        Command::Accept(args) => accept(args),
        Command::EndKey(args) => {
            args.of
                .change(|directory, now| directory.end_key(&args.person, &args.recipient, now))?;
            say(&args.of, &args.person, "key ended");
            Ok(())
        }
        Command::Remove(args) => {
            args.of.change(|directory, now| directory.remove(&args.person, now))?;
            say(&args.of, &args.person, "removed");
            Ok(())
        }
        Command::List(args) => list(args),
        Command::Export(args) => export(args),
    }
}

#[derive(Serialize)]
struct Said<'a> {
    person: &'a PersonId,
    change: &'static str,
}

fn say(of: &AtStore, person: &PersonId, change: &'static str) {
    if of.at.json {
        output::json(&Said { person, change });
    } else {
        output::line(format_args!("{person}: {change}"));
    }
}

#[derive(Serialize)]
struct SaidCode<'a> {
    person: &'a PersonId,
    code: &'a str,
}

fn say_code(of: &AtStore, person: &PersonId, code: &str) {
    if of.at.json {
        output::json(&SaidCode { person, code });
        return;
    }
    output::line(code);
    output::note(format_args!(
        "hand this one-time code to {person} in person; it is not shown again and counts for seven \
         days"
    ));
}

fn add(args: &Add) -> Result<(), Failure> {
    let code = new_code()?;
    let of = &args.of;
    let opened = Opened::begin(of)?;
    let now = SystemClock.now();
    Directory::change(&opened.store, &opened.log, now, |directory| {
        directory.add(&args.person, args.role, &code, now)
    })?;
    say_code(of, &args.person, &code);
    Ok(())
}

/// Writes a new file for somebody to take away.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut file = Output::create(path, Existing::Keep)?;
    file.write_all(bytes).map_err(|error| {
        let message = format!("{}: {error}{}", path.display(), advice(&error));
        Failure::new(ErrorKind::of_io(&error), message)
    })?;
    Ok(file.publish()?)
}

#[derive(Serialize)]
struct Challenged<'a> {
    person: &'a PersonId,
    recipient: &'a Recipient,
    fingerprint: String,
    challenge: &'a Path,
}

fn challenge(args: &Challenge) -> Result<(), Failure> {
    let Challenge { person, recipient, code, output: path, of } = args;
    let word = new_word()?;
    let made = of.change(|directory, now| {
        directory.challenge(person, recipient, code.as_deref(), word, now)
    })?;
    write_new(path, &made.seal()?)?;
    let fingerprint = recipient.fingerprint();
    if of.at.json {
        output::json(&Challenged { person, recipient, fingerprint, challenge: path });
    } else {
        output::line(format_args!("{}: for {person} to open", path.display()));
        output::line(format_args!("fingerprint {fingerprint}"));
    }
    Ok(())
}

fn answer(args: &AnswerArgs) -> Result<(), Failure> {
    let open = |path: &PathBuf| -> Result<Identities, Failure> {
        Ok(Identities::load(args.passphrase.open(path)?.path())?)
    };
    let own = open(&args.identity)?;
    let older = args.older.as_ref().map(open).transpose()?;
    let (challenge, text) = make_answer(&args.challenge, &own, older.as_ref())?;
    write_new(&args.output, text.as_bytes())?;
    if args.json {
        let word = Word::new(&challenge.person, &challenge.recipient, &args.output);
        output::json(&word);
        return Ok(());
    }
    output::line(format_args!(
        "{}: that {} holds {}",
        args.output.display(),
        challenge.person,
        challenge.recipient
    ));
    output::line(format_args!("fingerprint {}", challenge.recipient.fingerprint()));
    Ok(())
}

/// A file that somebody made about a key.
#[derive(Serialize)]
struct Word<'a> {
    person: &'a PersonId,
    recipient: &'a Recipient,
    fingerprint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a PersonId>,
    path: &'a Path,
}

impl<'a> Word<'a> {
    fn new(person: &'a PersonId, recipient: &'a Recipient, path: &'a Path) -> Self {
        Self { person, recipient, fingerprint: recipient.fingerprint(), by: None, path }
    }
}

/// A short text file that somebody sent.
fn read_text(path: &Path) -> Result<String, Failure> {
    let unreadable = |error: &std::io::Error| {
        let message = format!("cannot read {}: {error}{}", path.display(), advice(error));
        Failure::new(ErrorKind::of_io(error), message)
    };
    let found = std::fs::metadata(path).map_err(|error| unreadable(&error))?;
    if !found.is_file() || found.len() > ANSWER_BYTES {
        let message = format!("{} is no answer: a short text file is expected", path.display());
        return Err(Failure::new(ErrorKind::Denied, message));
    }
    std::fs::read_to_string(path).map_err(|error| unreadable(&error))
}

#[derive(Serialize)]
struct Enrolled<'a> {
    person: &'a PersonId,
    recipient: &'a Recipient,
    fingerprint: String,
    from: Timestamp,
    signs: bool,
}

fn enrol(
    of: &AtStore,
    person: &PersonId,
    replaces: Option<&Recipient>,
    proof: &Proof,
) -> Result<(), Failure> {
    let answer = Answer::parse(&read_text(&proof.answer)?)?;
    let approvals: Vec<Signed<KeyApproval>> =
        proof.approvals.iter().map(|path| Signed::load(path)).collect::<Result<_, _>>()?;
    let (answer, approvals) = (&answer, &approvals[..]);
    let new = NewKey { person, answer, replaces, confirmed: proof.confirmed, approvals };
    let mut present = Timestamp::MIN;
    let made = of.change(|directory, now| {
        present = now;
        directory.enrol(&new, now)
    })?;
    let fingerprint = made.recipient.fingerprint();
    if of.at.json {
        let (recipient, from, signs) = (&made.recipient, made.from, made.signs);
        output::json(&Enrolled { person, recipient, fingerprint, from, signs });
        return Ok(());
    }
    output::line(format_args!("{person}: {}", made.recipient));
    output::line(format_args!("fingerprint {fingerprint}"));
    if made.from > present {
        output::line(format_args!(
            "counts from {}; until then every recording announces it, and `classveil people end-key` \
             stops it",
            seconds(made.from)
        ));
    }
    if !made.signs {
        output::note(
            "note: this key opens and cannot sign, since it was enrolled with stock age: a teacher \
             who wants to grant access answers by `classveil people answer`",
        );
    }
    Ok(())
}

/// A time without fractions of a second.
pub(super) fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The only signing key of an identity file, or the first of several.
pub(super) fn signing_key(identity: &Path) -> Result<PersonKey, Failure> {
    let mut keys = PersonKey::of(&Identities::load(identity)?);
    if keys.is_empty() {
        let message = format!("{} holds no key that can sign", identity.display());
        return Err(Failure::new(ErrorKind::Config, message));
    }
    Ok(keys.remove(0))
}

fn approve(args: &Approve) -> Result<(), Failure> {
    let Approve { person, recipient, by, .. } = args;
    if person == by {
        let message = "nobody approves their own key: somebody else signs this";
        return Err(Failure::new(ErrorKind::Denied, message));
    }
    let approval =
        KeyApproval { person: person.clone(), recipient: recipient.clone(), by: by.clone() };
    let key = args.passphrase.open(&args.identity)?;
    let note = signing_key(key.path())?.sign(&approval);
    write_new(&args.output, note.as_bytes())?;
    if args.json {
        output::json(&Word { by: Some(by), ..Word::new(person, recipient, &args.output) });
        return Ok(());
    }
    output::line(format_args!(
        "{}: {by} says that {recipient} is {person}'s",
        args.output.display()
    ));
    output::line(format_args!("fingerprint {}", recipient.fingerprint()));
    Ok(())
}

#[derive(Serialize)]
struct Accepted<'a> {
    person: &'a PersonId,
    recipient: &'a Recipient,
    by: &'a PersonId,
}

fn accept(args: &Accept) -> Result<(), Failure> {
    let signed = Signed::<KeyApproval>::load(&args.statement)?;
    args.of.change(|directory, now| directory.accept(&signed, now))?;
    let KeyApproval { person, recipient, by } = signed.claim();
    if args.of.at.json {
        output::json(&Accepted { person, recipient, by });
    } else {
        output::line(format_args!("{by} accepts {recipient} as {person}'s"));
        output::line(format_args!("fingerprint {}", recipient.fingerprint()));
    }
    Ok(())
}

/// The lines of a store's log, checked; none where it has no log.
pub(super) fn entries(store: &Path, box_key: Option<&Path>) -> Result<Vec<Entry>, Failure> {
    let trust = paths::audit_trust(None, box_key)?;
    let checked = match check_log(store, &trust, &[]) {
        // A box of one's own, and a copy of another's store.
        Err(AuditError::OtherKey { .. }) => check_log(store, &AuditTrust::Unpinned, &[]),
        checked => checked,
    };
    match checked {
        Ok(checked) if checked.flaws.is_empty() => Ok(checked.entries),
        Ok(checked) => {
            let path = PathBuf::from(checked.key.origin());
            Err(AuditError::Damaged { path, flaws: checked.flaws }.into())
        }
        Err(AuditError::NoLog { .. }) if store.is_dir() => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Who is who in a store, for the rule of who may do what.
pub(super) fn roles_in(store: &Path, entries: &[Entry]) -> Result<Roles, Failure> {
    let now = SystemClock.now();
    Ok(roles(store, entries, now, today(now))?)
}

/// The directory of a store that has one.
pub(super) fn directory(store: &Path, entries: &[Entry]) -> Result<Directory, Failure> {
    Directory::read(store, entries)?.ok_or_else(|| {
        let message = format!(
            "{} has no directory of people: begin one by `classveil people add`",
            store.display()
        );
        Failure::new(ErrorKind::NotFound, message)
    })
}

#[derive(Serialize)]
struct Row<'a> {
    person: &'a PersonId,
    role: Role,
    added: Timestamp,
    removed: Option<Timestamp>,
    keys: Vec<KeyRow<'a>>,
}

#[derive(Serialize)]
struct KeyRow<'a> {
    recipient: &'a Recipient,
    fingerprint: String,
    state: &'static str,
    from: Timestamp,
    until: Option<Timestamp>,
    confirmed: Confirmed,
    signs: bool,
    accepted_by: Vec<&'a PersonId>,
}

impl<'a> KeyRow<'a> {
    fn new(key: &'a Key, now: Timestamp) -> Self {
        let state = match (key.counts(now), key.has_ended(now)) {
            (true, _) => "counts",
            (_, true) => "ended",
            (false, false) => "ahead",
        };
        Self {
            recipient: &key.recipient,
            fingerprint: key.recipient.fingerprint(),
            state,
            from: key.from,
            until: key.until,
            confirmed: key.confirmed,
            signs: key.sign.is_some(),
            accepted_by: key.accepted.keys().collect(),
        }
    }
}

fn list(args: &List) -> Result<(), Failure> {
    let (config, store) = args.of.find()?;
    let directory = directory(&store, &entries(&store, config.store.box_key.as_deref())?)?;
    let now = SystemClock.now();
    let rows = directory.people().iter().map(|(person, entry)| Row {
        person,
        role: entry.role,
        added: entry.added,
        removed: entry.removed,
        keys: entry.keys.iter().map(|key| KeyRow::new(key, now)).collect(),
    });
    let rows: Vec<Row<'_>> = rows.collect();
    if args.of.json {
        output::json(&serde_json::json!({ "people": rows }));
        return Ok(());
    }
    for row in &rows {
        let gone = row.removed.map_or_else(String::new, |at| format!(", removed {}", seconds(at)));
        output::line(format_args!("{}  {}{gone}", row.person, row.role));
        for key in &row.keys {
            output::line(format_args!("    {}", key.recipient));
            output::line(format_args!("    fingerprint {}", key.fingerprint));
            output::line(format_args!("    {}", of_key(key)));
        }
        if row.keys.is_empty() {
            output::line("    no key yet");
        }
    }
    Ok(())
}

fn of_key(key: &KeyRow<'_>) -> String {
    let mut said = match key.state {
        "ahead" => format!("counts from {}", seconds(key.from)),
        "ended" => format!("ended {}", key.until.map_or_else(String::new, seconds)),
        _ => format!("counts since {}", seconds(key.from)),
    };
    if let (Some(until), "counts") = (key.until, key.state) {
        said = format!("{said}, ends {}", seconds(until));
    }
    said = format!("{said}, confirmed: {}", key.confirmed);
    if !key.signs {
        said.push_str(", cannot sign");
    }
    if !key.accepted_by.is_empty() {
        let by: Vec<&str> = key.accepted_by.iter().map(|by| by.as_str()).collect();
        said = format!("{said}, accepted by {}", by.join(", "));
    }
    said
}
