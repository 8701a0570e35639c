//! The kinds of value that several options share: each is taken or told what to be instead.

use std::{fmt::Display, path::PathBuf, str::FromStr, time::Duration};

use toml::Spanned;

use super::{
    Limits,
    check::Check,
    file::Count,
    limits,
    values::{Span, check_filter},
};

impl Check<'_, '_> {
    /// The text of a bad name is not repeated: somebody's real name may stand there.
    pub(super) fn name<T: FromStr>(
        &mut self,
        option: &str,
        value: Option<&Spanned<String>>,
    ) -> Option<T> {
        let value = value?;
        let name = value.get_ref().parse().ok();
        if name.is_none() {
            self.found.add(
                value.span().start,
                Some(option),
                "is not a pseudonym: use 1 to 32 of a-z, 0-9 and -",
            );
        }
        name
    }

    /// The text of an input is not repeated: it may hold a password.
    pub(super) fn input(&mut self, option: &str, value: &Spanned<String>) -> Option<String> {
        let at = value.span().start;
        let text = value.get_ref().as_str();
        let lower = text.to_ascii_lowercase();
        let scheme = lower.split_once(':').map(|(scheme, _)| scheme).filter(|scheme| {
            scheme.len() > 1
                && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+.-".contains(&b))
        });
        match scheme {
            None => self
                .path(option, Some(value))
                .and_then(|path| path.into_os_string().into_string().ok()),
            Some("rtsp" | "rtsps") => {
                let rest = lower.split_once("://").map_or("", |(_, rest)| rest);
                // Any @, not only one before the first slash: a password may hold a slash itself.
                if rest.contains('@') {
                    self.found.add(
                        at,
                        Some(option),
                        "the address holds a user name or password: put them into a file of mode \
                         0600, user on line one, password on line two, and name it in credentials \
                         (an @ in the path is written %40)",
                    );
                    return None;
                }
                let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
                if host.is_empty()
                    || host.starts_with(':')
                    || text.contains(|c: char| c.is_whitespace() || c.is_control())
                {
                    self.found.add(
                        at,
                        Some(option),
                        "is not an address: write rtsp://HOST/PATH without spaces",
                    );
                    return None;
                }
                Some(text.to_owned())
            }
            Some(_) => {
                self.found.add(
                    at,
                    Some(option),
                    "cannot be opened: write rtsp://HOST/PATH, rtsps://HOST/PATH, a device such \
                     as /dev/video0, or the path of a file",
                );
                None
            }
        }
    }

    pub(super) fn filter(&mut self, value: Option<&Spanned<String>>) -> Option<String> {
        let value = value?;
        match check_filter(value.get_ref()) {
            Ok(()) => Some(value.get_ref().clone()),
            Err(error) => {
                self.found.add(value.span().start, Some("log.filter"), error.to_string());
                None
            }
        }
    }

    /// A path, made absolute from the folder of the file where it is relative.
    pub(super) fn path(
        &mut self,
        option: &str,
        value: Option<&Spanned<String>>,
    ) -> Option<PathBuf> {
        let value = value?;
        let text = value.get_ref().as_str();
        let wrong = if text.trim().is_empty() {
            "is empty: write a path, or remove the line"
        } else if text.contains('\0') {
            "holds a zero byte: write a path"
        } else if text == "~" || text.starts_with("~/") {
            "~ is not replaced here: write the path in full"
        } else {
            return Some(self.base.join(text));
        };
        self.found.add(value.span().start, Some(option), wrong);
        None
    }

    /// One line of text that says something.
    pub(super) fn line(&mut self, option: &str, value: Option<&Spanned<String>>) -> Option<String> {
        let value = value?;
        let text = value.get_ref().trim();
        let says_something = text.contains(char::is_alphanumeric);
        if !says_something || text.chars().count() > 200 || text.contains(char::is_control) {
            self.found.add(
                value.span().start,
                Some(option),
                "must be one line of 1 to 200 characters, such as \"DPIA-2026-03\"; remove the \
                 line where there is none",
            );
            return None;
        }
        Some(text.to_owned())
    }

    pub(super) fn span(
        &mut self,
        option: &str,
        value: Option<&Spanned<Span>>,
        limits: Limits<Span>,
    ) -> Option<Duration> {
        let value = value?;
        self.within(option, value.span().start, *value.get_ref(), limits).map(|Span(time)| time)
    }

    pub(super) fn count(
        &mut self,
        option: &str,
        value: Option<&Spanned<Count>>,
        limits: Limits<u32>,
    ) -> Option<u32> {
        let value = value?;
        let Count(number) = *value.get_ref();
        let inside = u32::try_from(number).ok().filter(|n| limits.contain(n));
        if inside.is_none() {
            self.out_of_range(option, value.span().start, number, limits);
        }
        inside
    }

    /// The longest side of a picture that the face detector is given.
    pub(super) fn side(
        &mut self,
        option: &str,
        value: Option<&Spanned<Count>>,
        limits: Limits<u32>,
    ) -> Option<u32> {
        let value = value?;
        let side = self.count(option, Some(value), limits)?;
        if side % limits::STRIDE != 0 {
            let below = side - side % limits::STRIDE;
            self.found.add(
                value.span().start,
                Some(option),
                format!(
                    "{side} is not a multiple of {}: write {below} or {}",
                    limits::STRIDE,
                    below + limits::STRIDE
                ),
            );
            return None;
        }
        Some(side)
    }

    pub(super) fn within<T: PartialOrd + Display + Copy>(
        &mut self,
        option: &str,
        at: usize,
        value: T,
        limits: Limits<T>,
    ) -> Option<T> {
        if limits.contain(&value) {
            return Some(value);
        }
        self.out_of_range(option, at, value, limits);
        None
    }

    fn out_of_range<T: Display + Copy>(
        &mut self,
        option: &str,
        at: usize,
        value: impl Display,
        limits: Limits<T>,
    ) {
        self.found.add(at, Some(option), format!("{value} is out of range: {limits}"));
    }
}
