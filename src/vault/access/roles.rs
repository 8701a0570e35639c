//! Who may do what to recordings because of who they are: one rule for every front end.
//!
//! Belongs here: the rule. Does not belong: who is who. That is the directory in `people`, which is
//! handed in as [`Roles`]; nothing here believes a pseudonym because somebody typed it.

use std::collections::{BTreeMap, BTreeSet};

use super::{AccessError, Role};
use crate::units::PersonId;

/// What the directory says of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What they are to recordings.
    pub role: Role,
    /// Whether that counts: they are not removed, and who has to confirm the role did.
    pub in_force: bool,
}

/// Who is who at one moment.
#[derive(Clone, Debug, Default)]
pub struct Roles {
    people: Option<BTreeMap<PersonId, Standing>>,
    pupils: BTreeSet<PersonId>,
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug)]
pub enum Act<'a> {
    /// Ask for something as a person who was recorded.
    Ask,
    /// Ask for a hold, which keeps a recording alive.
    AskForHold,
    /// Approve a hold.
    ApproveHold,
    /// End a hold.
    Release {
        /// Who asked for the holds that last.
        asked_by: &'a [PersonId],
    },
    /// Answer a request.
    Answer,
    /// Say that a damaged log leaves no doubt about a recording.
    Clear,
    /// End a grant.
    Revoke {
        /// The teacher who made it.
        granted_by: &'a PersonId,
    },
    /// Close a recording's follow-up talk.
    CloseTalk {
        /// The recording's teacher.
        teacher: Option<&'a PersonId>,
        /// The recording's coach.
        coach: Option<&'a PersonId>,
    },
}

impl Act<'_> {
    /// What it is, and who does it.
    const fn rule(&self) -> (&'static str, &'static str) {
        match self {
            Self::Ask => ("ask for this", "it is for people who were recorded"),
            Self::AskForHold => (
                "ask for a hold",
                "it is for people who were recorded: a pupil of the list in force, or a teacher, \
                 coach or parent of the directory",
            ),
            Self::ApproveHold => ("approve a hold", "the privacy officer of the directory does"),
            Self::Release { .. } => {
                ("end a hold", "the privacy officer of the directory does, or who asked for it")
            }
            Self::Answer => ("answer a request", "the privacy officer of the directory does"),
            Self::Clear => {
                ("say that nothing is in doubt", "the privacy officer of the directory does")
            }
            Self::Revoke { .. } => {
                ("end this grant", "the teacher who made it does, or the privacy officer")
            }
            Self::CloseTalk { .. } => ("close this talk", "the recording's teacher or coach does"),
        }
    }
}

impl Roles {
    /// Those of a directory, and the pupils of the list in force.
    pub fn new(
        people: impl IntoIterator<Item = (PersonId, Standing)>,
        pupils: impl IntoIterator<Item = PersonId>,
    ) -> Self {
        let people = Some(people.into_iter().collect());
        Self { people, pupils: pupils.into_iter().collect() }
    }

    /// Of a store without a directory: nobody is known as anything.
    #[must_use]
    pub fn unknown() -> Self {
        Self::default()
    }

    /// Whether `person` may do it.
    ///
    /// Without a directory nobody is the privacy officer, and no hold is asked for; a talk is closed
    /// by whom the signed manifest names.
    ///
    /// # Errors
    /// They may not.
    pub fn may(&self, person: &PersonId, act: &Act<'_>) -> Result<(), AccessError> {
        let standing = self.people.as_ref().and_then(|people| people.get(person));
        let is = |role| standing.is_some_and(|known| known.role == role && known.in_force);
        // Whoever left was recorded all the same.
        let recorded =
            standing.map(|known| matches!(known.role, Role::Teacher | Role::Coach | Role::Parent));
        let named = |one: Option<&PersonId>, role| {
            one == Some(person) && (self.people.is_none() || is(role))
        };
        let may = match act {
            Act::Ask => recorded.unwrap_or(true),
            Act::AskForHold => {
                self.people.is_some() && recorded.unwrap_or_else(|| self.pupils.contains(person))
            }
            Act::ApproveHold | Act::Answer | Act::Clear => is(Role::PrivacyOfficer),
            Act::Release { asked_by } => asked_by.contains(person) || is(Role::PrivacyOfficer),
            Act::Revoke { granted_by } => {
                named(Some(granted_by), Role::Teacher) || is(Role::PrivacyOfficer)
            }
            Act::CloseTalk { teacher, coach } => {
                named(*teacher, Role::Teacher) || named(*coach, Role::Coach)
            }
        };
        if may {
            return Ok(());
        }
        let (what, rule) = act.rule();
        Err(AccessError::MayNot { person: person.clone(), what, rule, known: self.known(standing) })
    }

    /// What is known of somebody, in words.
    fn known(&self, standing: Option<&Standing>) -> String {
        match (&self.people, standing) {
            (None, _) => {
                "the store has no directory of people, which `classveil people add` begins"
                    .to_owned()
            }
            (_, None) => "the directory has nobody of that name".to_owned(),
            (_, Some(Standing { role, in_force: true })) => {
                format!("the directory has them as {role}")
            }
            (_, Some(Standing { role, .. })) => {
                format!("the directory has them as {role}, and that does not count now")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> PersonId {
        name.parse().unwrap()
    }

    fn roles() -> Roles {
        let people = [
            ("t-07", Role::Teacher, true),
            ("t-08", Role::Teacher, true),
            ("t-09", Role::Teacher, false),
            ("c-02", Role::Coach, true),
            ("s-01", Role::Supervisor, true),
            ("o-01", Role::Parent, true),
            ("fg-01", Role::PrivacyOfficer, true),
            ("fg-02", Role::PrivacyOfficer, false),
            ("m-01", Role::Manager, true),
            ("a-01", Role::Admin, true),
        ];
        let people = people.map(|(name, role, in_force)| (id(name), Standing { role, in_force }));
        Roles::new(people, [id("p-14")])
    }

    const ALL: [&str; 12] = [
        "t-07", "t-08", "t-09", "c-02", "s-01", "o-01", "fg-01", "fg-02", "m-01", "a-01", "p-14",
        "x-99",
    ];

    fn who(roles: &Roles, act: &Act<'_>) -> Vec<&'static str> {
        ALL.into_iter().filter(|name| roles.may(&id(name), act).is_ok()).collect()
    }

    #[test]
    fn each_act_and_who_may_do_it() {
        let (teacher, left, coach, asked) = (id("t-07"), id("t-09"), id("c-02"), [id("p-14")]);
        let roles = roles();
        let who = |act| who(&roles, &act);
        assert_eq!(who(Act::Ask), ["t-07", "t-08", "t-09", "c-02", "o-01", "p-14", "x-99"]);
        assert_eq!(who(Act::AskForHold), ["t-07", "t-08", "t-09", "c-02", "o-01", "p-14"]);
        assert_eq!(who(Act::ApproveHold), ["fg-01"]);
        assert_eq!(who(Act::Answer), ["fg-01"]);
        assert_eq!(who(Act::Release { asked_by: &asked }), ["fg-01", "p-14"]);
        assert_eq!(who(Act::Release { asked_by: &[] }), ["fg-01"]);
        assert_eq!(who(Act::Revoke { granted_by: &teacher }), ["t-07", "fg-01"]);
        assert_eq!(who(Act::Revoke { granted_by: &left }), ["fg-01"]);
        let both = Act::CloseTalk { teacher: Some(&teacher), coach: Some(&coach) };
        assert_eq!(who(both), ["t-07", "c-02"]);
        // Whom the manifest names is what the directory says they are.
        let odd = Act::CloseTalk { teacher: Some(&coach), coach: Some(&left) };
        assert!(who(odd).is_empty());
        assert!(who(Act::CloseTalk { teacher: None, coach: None }).is_empty());
    }

    #[test]
    fn without_a_directory_nobody_is_the_officer() {
        let (teacher, coach, asked) = (id("t-07"), id("c-02"), [id("p-14")]);
        let roles = Roles::unknown();
        let who = |act| who(&roles, &act);
        assert_eq!(who(Act::Ask), ALL);
        assert!(who(Act::AskForHold).is_empty());
        assert!(who(Act::ApproveHold).is_empty() && who(Act::Answer).is_empty());
        assert_eq!(who(Act::Release { asked_by: &asked }), ["p-14"]);
        assert_eq!(who(Act::Revoke { granted_by: &teacher }), ["t-07"]);
        let both = Act::CloseTalk { teacher: Some(&teacher), coach: Some(&coach) };
        assert_eq!(who(both), ["t-07", "c-02"]);
        let said = roles.may(&id("fg-01"), &Act::Answer).unwrap_err().to_string();
        assert!(said.contains("no directory of people"), "{said}");
    }
}
