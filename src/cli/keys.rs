//! `classveil people challenge` to `end-key`: how a key comes to count, and ends.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    Failure,
    identity::Passphrase,
    output,
    people::{say, seconds, write_new},
    store::AtStore,
};
use crate::{
    error::{ErrorKind, advice},
    people::directory::{Answer, KeyApproval, NewKey, make_answer, new_word},
    units::PersonId,
    vault::{
        Identities, Recipient,
        access::Confirmed,
        sign::{PersonKey, Signed},
    },
};

/// Longest answer that is read.
const ANSWER_BYTES: u64 = 64 << 10;

/// Make a challenge for a key: an age file that only its owner can open.
///
/// The owner tells the one-time code and the public key, and gets the file. Who cannot open it does
/// not hold the key. Without --code the key can only be taken in by the signature of an older one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil people challenge t-07 --code 7KQ2-M9XT-4BZH-R3WA --recipient age1... \\\n      \
      --output challenge.age --store /srv/classveil\n  \
    classveil people challenge t-07 --recipient age1... --output challenge.age --store STORE")]
pub(super) struct Challenge {
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
pub(super) struct AnswerArgs {
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
pub(super) struct Enrol {
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
pub(super) struct ReplaceKey {
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
pub(super) struct Approve {
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
pub(super) struct Accept {
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
pub(super) struct EndKey {
    /// Pseudonym.
    #[arg(value_name = "ID")]
    person: PersonId,
    /// The public key.
    #[arg(long, value_name = "age1...")]
    recipient: Recipient,
    #[command(flatten)]
    of: AtStore,
}

#[derive(Serialize)]
struct Challenged<'a> {
    person: &'a PersonId,
    recipient: &'a Recipient,
    fingerprint: String,
    challenge: &'a Path,
}

pub(super) fn challenge(args: &Challenge) -> Result<(), Failure> {
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

pub(super) fn answer(args: &AnswerArgs) -> Result<(), Failure> {
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

fn enrol_as(
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
            "note: this key opens and cannot sign, since it was enrolled with stock age: a teacher who \
             grants access and a privacy officer who approves keys answer by `classveil people answer`",
        );
    }
    Ok(())
}

pub(super) fn enrol(args: &Enrol) -> Result<(), Failure> {
    enrol_as(&args.of, &args.person, None, &args.proof)
}

pub(super) fn replace(args: &ReplaceKey) -> Result<(), Failure> {
    enrol_as(&args.of, &args.person, Some(&args.old), &args.proof)
}

pub(super) fn end(args: &EndKey) -> Result<(), Failure> {
    args.of.change(|directory, now| directory.end_key(&args.person, &args.recipient, now))?;
    say(&args.of, &args.person, "key ended");
    Ok(())
}

/// The only signing key of an identity file, or the first of several.
fn signing_key(identity: &Path) -> Result<PersonKey, Failure> {
    let mut keys = PersonKey::of(&Identities::load(identity)?);
    if keys.is_empty() {
        let message = format!("{} holds no key that can sign", identity.display());
        return Err(Failure::new(ErrorKind::Config, message));
    }
    Ok(keys.remove(0))
}

pub(super) fn approve(args: &Approve) -> Result<(), Failure> {
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

pub(super) fn accept(args: &Accept) -> Result<(), Failure> {
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
