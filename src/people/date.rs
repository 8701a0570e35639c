//! Dates as Dutch spreadsheets write them: `2026-09-01` or `1-9-2026`.
//!
//! Slashes are refused: a Flemish Excel writes day/month/year and an American one month/day/year.

use jiff::civil::Date;

use super::fault::Fault;

/// Years outside these are typing errors.
const YEARS: std::ops::RangeInclusive<i16> = 1990..=2099;

/// Reads a date.
pub(super) fn parse(text: &str) -> Result<Date, Fault> {
    let digits = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'/' | b'.'));
    // Anything else may be a name in the wrong column, and is not repeated.
    if !digits || text.len() > 10 {
        return Err(Fault::NoDate);
    }
    let parts: Vec<&str> = text.split(['-', '/', '.']).collect();
    let [a, b, c] = parts[..] else { return Err(Fault::NoDate) };
    if [a, b, c].iter().any(|p| p.is_empty()) {
        return Err(Fault::NoDate);
    }
    if text.contains(['/', '.']) {
        return Err(Fault::AmbiguousDate(text.to_owned()));
    }
    let (year, month, day) = match (a.len(), b.len(), c.len()) {
        (4, 2, 2) => (a, b, c),
        (1 | 2, 1 | 2, 4) => (c, b, a),
        (1 | 2, 1 | 2, 2) => return Err(Fault::ShortYear(text.to_owned())),
        _ => return Err(Fault::NoDate),
    };
    let number = |part: &str| part.parse::<i16>().map_err(|_| Fault::NoDate);
    let (year, month, day) = (number(year)?, number(month)?, number(day)?);
    let no_such_day = || Fault::NoSuchDay(text.to_owned());
    let month = i8::try_from(month).map_err(|_| no_such_day())?;
    let day = i8::try_from(day).map_err(|_| no_such_day())?;
    let date = Date::new(year, month, day).map_err(|_| no_such_day())?;
    if YEARS.contains(&year) { Ok(date) } else { Err(Fault::FarDate(text.to_owned())) }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn two_ways_of_writing_are_read() {
        assert_eq!(parse("2026-09-01"), Ok(date(2026, 9, 1)));
        assert_eq!(parse("1-9-2026"), Ok(date(2026, 9, 1)));
        assert_eq!(parse("03-04-2025"), Ok(date(2025, 4, 3)));
        assert_eq!(parse("29-2-2024"), Ok(date(2024, 2, 29)));
    }

    #[test]
    fn everything_else_is_named() {
        let text = |t: &str| t.to_owned();
        for (bad, fault) in [
            ("", Fault::NoDate),
            ("jan", Fault::NoDate),
            ("1 september 2026", Fault::NoDate),
            ("2026-9-1", Fault::NoDate),
            ("2026-09", Fault::NoDate),
            ("--2026", Fault::NoDate),
            ("3/4/2025", Fault::AmbiguousDate(text("3/4/2025"))),
            ("3.4.2025", Fault::AmbiguousDate(text("3.4.2025"))),
            ("3-4-25", Fault::ShortYear(text("3-4-25"))),
            ("31-2-2025", Fault::NoSuchDay(text("31-2-2025"))),
            ("2025-13-01", Fault::NoSuchDay(text("2025-13-01"))),
            ("0025-01-01", Fault::FarDate(text("0025-01-01"))),
        ] {
            assert_eq!(parse(bad), Err(fault), "{bad}");
        }
    }
}
