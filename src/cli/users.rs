//! `classveil users`: who may log in to the box's pages.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Failure, identity::ask, output, places};
use crate::{
    api::accounts::{Account, Accounts, LONGEST, Password, Role},
    clock::{Clock, SystemClock},
    config::Config,
    error::{ErrorKind, advice},
    units::{AccountId, PersonId},
};

/// Say who may log in to the box's pages, and as what.
///
/// Accounts lie outside the store, in the file that [api] accounts names, for its owner only.
/// Passwords are kept as Argon2id hashes. Each change is in the audit log before it counts; whoever is
/// logged in with an account that is removed, or gets another password, is not any more.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Add(Add),
    List(List),
    Remove(Remove),
    Passwd(Passwd),
    SetupCode(SetupCode),
}

/// Make an account.
///
/// Roles: coach (prepares, starts, stops, looks), admin (pupil list, reminders, notices), teacher
/// (accepts, objects, looks), operator (sees that the box works), privacy-officer (registers, logs),
/// manager (how many recordings there are), viewer (looks at what a teacher granted; a supervisor).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil users add c-02 --role coach --person c-02 --config FILE.toml\n  \
    classveil users add o-01 --role operator --password-file word.txt --config FILE.toml\n\n\
    Exit codes: 0 made, 64 usage, or the password is too weak, 78 there is one of that name.")]
struct Add {
    /// Under which name somebody logs in: 1 to 32 of a-z, 0-9 and -; a pseudonym, as it is logged.
    name: AccountId,
    /// As what: coach, admin, teacher, operator, privacy-officer, manager or viewer.
    #[arg(long, value_name = "ROLE")]
    role: Role,
    /// Who it is in recordings and in the directory of people; coaches, teachers and
    /// viewers need it [default for them: the name].
    #[arg(long, value_name = "ID")]
    person: Option<PersonId>,
    #[command(flatten)]
    word: Word,
    /// The box's settings.
    #[arg(long, value_name = "FILE", env = places::CONFIG_VARIABLE,
        default_value = places::CONFIG)]
    config: PathBuf,
}

/// Where a password comes from.
#[derive(Debug, clap::Args)]
struct Word {
    /// The file whose first line is the password [default: it is asked for on the terminal].
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Say which accounts there are.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil users list --config FILE.toml\n  \
    classveil users list --config FILE.toml --json\n\n\
    Exit codes: 0 said, 65 the file is damaged, 78 others can read it.")]
struct List {
    /// The box's settings.
    #[arg(long, value_name = "FILE", env = places::CONFIG_VARIABLE,
        default_value = places::CONFIG)]
    config: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Take an account away.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil users remove c-02 --config FILE.toml\n\n\
    Exit codes: 0 it is gone, 66 there is none of that name.")]
struct Remove {
    /// Which.
    name: AccountId,
    /// The box's settings.
    #[arg(long, value_name = "FILE", env = places::CONFIG_VARIABLE,
        default_value = places::CONFIG)]
    config: PathBuf,
}

/// Give an account another password.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil users passwd c-02 --config FILE.toml\n\n\
    Exit codes: 0 it counts from now on, 64 it is too weak, 66 there is no such account.")]
struct Passwd {
    /// Which.
    name: AccountId,
    #[command(flatten)]
    word: Word,
    /// The box's settings.
    #[arg(long, value_name = "FILE", env = places::CONFIG_VARIABLE,
        default_value = places::CONFIG)]
    config: PathBuf,
}

/// Print a code with which the first administrator makes an account on the box's pages.
///
/// It counts once, for a day, and only while there is no administrator. Only its digest is kept.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil users setup-code --config FILE.toml\n\n\
    Exit codes: 0 printed, 78 there is an administrator already.")]
struct SetupCode {
    /// The box's settings.
    #[arg(long, value_name = "FILE", env = places::CONFIG_VARIABLE,
        default_value = places::CONFIG)]
    config: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::Add(args) => add(args),
        Command::List(args) => list(args),
        Command::Remove(args) => {
            let (config, accounts) = of(&args.config)?;
            let (_, log) = places::log(&config)?;
            accounts.remove(&log, SystemClock.now(), &args.name)?;
            output::note(format_args!("{} cannot log in any more", args.name));
            Ok(())
        }
        Command::Passwd(args) => {
            let (config, accounts) = of(&args.config)?;
            let password = args.word.read(&args.name)?;
            let (_, log) = places::log(&config)?;
            accounts.set_password(&log, SystemClock.now(), &args.name, &password)?;
            output::note(format_args!("{} logs in with the new password from now on", args.name));
            Ok(())
        }
        Command::SetupCode(args) => {
            let (config, accounts) = of(&args.config)?;
            let (_, log) = places::log(&config)?;
            output::line(accounts.setup_code(&log, SystemClock.now())?);
            output::note("it makes the first administrator on the box's pages, once, within a day");
            Ok(())
        }
    }
}

fn of(file: &Path) -> Result<(Config, Accounts), Failure> {
    let config = places::config(Some(file))?;
    let accounts = Accounts::new(&places::accounts(&config)?);
    Ok((config, accounts))
}

fn add(args: &Add) -> Result<(), Failure> {
    let (config, accounts) = of(&args.config)?;
    let password = args.word.read(&args.name)?;
    let (_, log) = places::log(&config)?;
    // Where nobody says who a coach or teacher is in recordings, it is the name.
    let own = || args.role.needs_person().then(|| args.name.as_str().parse().ok()).flatten();
    let person = args.person.clone().or_else(own);
    let account = (&args.name, args.role, person.as_ref());
    accounts.add(&log, SystemClock.now(), account, &password)?;
    output::note(format_args!("{} logs in as {}", args.name, args.role));
    Ok(())
}

fn list(args: &List) -> Result<(), Failure> {
    let (_, accounts) = of(&args.config)?;
    let known = accounts.read()?;
    let json_of = |account: &Account| -> Value {
        json!({
            "name": account.name,
            "role": account.role,
            "person": account.person,
            "changed": account.changed,
        })
    };
    if args.json {
        let all: Vec<Value> = known.accounts().iter().map(json_of).collect();
        output::json(&json!({ "accounts": all }));
        return Ok(());
    }
    for account in known.accounts() {
        let person = account.person.as_ref().map_or("-", PersonId::as_str);
        let (name, role) = (account.name.as_str(), account.role.word());
        output::line(format_args!("{name:32}  {role:15}  {person}"));
    }
    Ok(())
}

impl Word {
    fn read(&self, name: &AccountId) -> Result<Password, Failure> {
        match &self.password_file {
            Some(path) => from_file(path),
            None => from_terminal(name),
        }
    }
}

fn from_file(path: &Path) -> Result<Password, Failure> {
    let unreadable = |error: std::io::Error| {
        let text = format!("cannot read {}: {error}{}", path.display(), advice(&error));
        Failure::new(ErrorKind::of_io(&error), text)
    };
    let mut text = Zeroizing::new(String::new());
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(2 * LONGEST as u64).read_to_string(&mut text).map_err(unreadable)?;
    Ok(Password::new(text.lines().next().unwrap_or_default().to_owned()))
}

/// Asks twice, and shows nothing of what is typed.
fn from_terminal(name: &AccountId) -> Result<Password, Failure> {
    let nobody = || "nobody can be asked for a password here: give --password-file FILE".to_owned();
    let first = ask(&format!("new password, {name}"), nobody)?;
    let second = ask(&format!("the same again, {name}"), nobody)?;
    if first != second {
        return Err(Failure::new(ErrorKind::Usage, "these are two passwords: try again"));
    }
    Ok(Password::new(first.to_string()))
}
